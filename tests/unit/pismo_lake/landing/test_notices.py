"""Notices are read in every envelope, and no other message counts as one."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pismo_lake.errors import NoticeError
from pismo_lake.landing.notices import Announced, Notice, concerns, read_announced, read_notices
from pismo_lake.settings.channels import Expected

ORG = "TN-376A4170-0000-4000-8000-000000000000"
BUCKET = f"pismo-dataplatform-{ORG.lower()}"
KEY = "main_stream/2020/4/1/23/some_file_name"
EXPECTED = Expected(ORG, BUCKET)
EVENT: dict[str, Any] = {
    "event_id": "e", "schema_version": 1, "domain": "dataplatform", "event_type": "new_bucket_object-1",
    "org_id": ORG, "cid": "c", "timestamp": "2020-04-01T23:00:00Z",
    "data": {"bucket_name": BUCKET, "object_name": KEY, "object_size": 1029382},
}  # fmt: skip
OBJECT = {"kind": "storage#object", "bucket": "ours", "name": KEY, "size": "1029382"}
S3 = {"s3": {"bucket": {"name": BUCKET}, "object": {"key": "main_stream/2020/4/1/23/a%3Db+c", "size": 7}}}


RECORD = {"eventName": "ObjectCreated:Put", **S3}
PLAIN = Notice(BUCKET, KEY)
TRAIL = {
    "eventSource": "s3.amazonaws.com", "eventName": "CompleteMultipartUpload",
    "requestParameters": {"bucketName": BUCKET, "key": KEY},
}  # fmt: skip
BRIDGE = {
    "source": "aws.s3", "detail-type": "Object Created",
    "detail": {"reason": "PutObject", "bucket": {"name": BUCKET}, "object": {"key": KEY, "size": 3}},
}  # fmt: skip
CLOUD = {
    "specversion": "1.0", "type": "google.cloud.storage.object.v1.finalized", "subject": f"objects/{KEY}",
    "source": f"//storage.googleapis.com/projects/_/buckets/{BUCKET}",
}  # fmt: skip
AUDIT = {
    "protoPayload": {
        "methodName": "storage.objects.create", "resourceName": f"projects/_/buckets/{BUCKET}/objects/{KEY}",
    }
}  # fmt: skip


def sns(message: Any, **more: str) -> dict[str, Any]:
    return {"Type": "Notification", "TopicArn": "arn:aws:sns:x:1:t", "Message": json.dumps(message), **more}


def pushed(value: Any, **attributes: str) -> dict[str, Any]:
    data = base64.b64encode(json.dumps(value).encode()).decode()
    return {"message": {"data": data, "messageId": "1", "attributes": attributes}, "subscription": "s"}


FULL = Notice(BUCKET, KEY, 1029382, ORG)
ENVELOPES = {
    "bare": (EVENT, FULL),
    "without version": (EVENT | {"event_type": "new-bucket-object", "schema_version": "1"}, FULL),
    "SNS": (sns(EVENT), FULL),
    "SNS in SNS": (sns(sns(EVENT)), FULL),
    "EventBridge": ({"detail-type": "x", "source": "pismo", "detail": EVENT}, FULL),
    "Pub/Sub push": (pushed(EVENT), FULL),
    "GCS": (OBJECT, Notice("ours", KEY, 1029382)),
    "GCS push": (pushed(OBJECT, eventType="OBJECT_FINALIZE"), Notice("ours", KEY, 1029382)),
    "S3": (
        {"Records": [{"eventName": "ObjectCreated:Put", **S3}]}, Notice(BUCKET, "main_stream/2020/4/1/23/a=b c", 7)
    ),
    "S3 by SNS": (
        sns({"Records": [{"eventName": "ObjectCreated:Put", **S3}]}),
        Notice(BUCKET, "main_stream/2020/4/1/23/a=b c", 7),
    ),
    "S3 by EventBridge": (
        {
            "source": "aws.s3", "detail-type": "Object Created",
            "detail": {"bucket": {"name": BUCKET}, "object": {"key": KEY, "size": 3}},
        },
        Notice(BUCKET, KEY, 3),
    ),
    "SNS without its topic": ({"Type": "Notification", "Message": json.dumps(EVENT)}, FULL),
    "SNS for Lambda": ({"Records": [{"EventSource": "aws:sns", "Sns": sns(EVENT)}]}, FULL),
    "SQS for Lambda": ({"Records": [{"eventSource": "aws:sqs", "body": json.dumps(EVENT)}]}, FULL),
    "SQS by a pipe": ([{"messageId": "1", "body": json.dumps(sns(EVENT))}], FULL),
    "Kinesis": ({"Records": [{"kinesis": {"data": base64.b64encode(json.dumps(EVENT).encode()).decode()}}]}, FULL),
    "a list": ([EVENT], FULL),
    "JSON in JSON": (json.dumps(EVENT), FULL),
    "a wrapper of somebody's own": ({"v": 1, "payload": {"inner": json.dumps(EVENT)}}, FULL),
    "MinIO": (
        {"EventName": "s3:ObjectCreated:Put", "Key": f"{BUCKET}/a", "Records": [
            {"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": BUCKET}, "object": {
                "key": KEY.replace("/", "%2F"), "size": 1}}},
        ]},
        Notice(BUCKET, KEY, 1),
    ),
    "MinIO for Redis": ([{"Event": [RECORD], "EventTime": "x"}], Notice(BUCKET, "main_stream/2020/4/1/23/a=b c", 7)),
    "MinIO without records": ({"EventName": "s3:ObjectCreated:Put", "Key": f"{BUCKET}/{KEY}"}, PLAIN),
    "Ceph, copied from another zone": (
        {"Records": [RECORD | {"eventName": "ObjectSynced:Create"}]},
        Notice(BUCKET, "main_stream/2020/4/1/23/a=b c", 7),
    ),
    "CloudTrail by EventBridge": ({"detail-type": "AWS API Call via CloudTrail", "detail": TRAIL}, PLAIN),
    "CloudTrail's own file": ({"Records": [TRAIL]}, PLAIN),
    "EventBridge's detail alone": (BRIDGE["detail"], Notice(BUCKET, KEY, 3)),
    "EventBridge, restored": (BRIDGE | {"detail-type": "Object Restore Completed"}, Notice(BUCKET, KEY, 3)),
    "CloudEvent": (CLOUD | {"data": {"bucket": BUCKET, "name": KEY, "size": "3"}}, Notice(BUCKET, KEY, 3)),
    "CloudEvent without data": (CLOUD, PLAIN),
    "CloudEvent of Pub/Sub": (
        {"specversion": "1.0", "type": "google.cloud.pubsub.topic.v1.messagePublished", "data": pushed(EVENT)}, FULL,
    ),
    "CloudEvent in base64": (
        {"specversion": "1.0", "type": "x", "data_base64": pushed(EVENT)["message"]["data"]}, FULL,
    ),
    "audit log": (AUDIT, PLAIN),
    "Pub/Sub push without data": (
        {"message": {"attributes": {"eventType": "OBJECT_FINALIZE", "bucketId": BUCKET, "objectId": KEY}}}, PLAIN,
    ),
    "an encoded key in an event that has plain ones": (
        {**EVENT, "data": {"bucket_name": BUCKET, "object_name": "main_stream%2F2020%2F4%2F1%2F23%2Fsome_file_name"}},
        Notice(BUCKET, KEY, None, ORG),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENVELOPES)
def test_every_envelope_gives_its_notice(name: str) -> None:
    envelope, notice = ENVELOPES[name]
    assert read_notices(json.dumps(envelope)) == [notice]


def test_a_message_with_several_objects() -> None:
    records = [{"eventName": "ObjectCreated:Put", **S3}, {"eventName": "ObjectRemoved:Delete", **S3}]
    assert len(read_notices(json.dumps({"Records": [*records, records[0]]}))) == 2


IGNORED = {
    "another control event": {**EVENT, "event_type": "health_check", "data": {"id": 1}},
    "a business event": {**EVENT, "domain": "pix", "data": {"object_name": "x"}},
    "S3 test": {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET},
    "S3 deletion": {"Records": [{"eventName": "ObjectRemoved:Delete", **S3}]},
    "GCS deletion": pushed(OBJECT, eventType="OBJECT_DELETE"),
    "S3 deletion by EventBridge": {
        "source": "aws.s3", "detail-type": "Object Deleted",
        "detail": {"bucket": {"name": BUCKET}, "object": {"key": KEY}},
    },
    "an empty object": {},
    "MinIO's reads": {"Records": [{"eventName": "s3:ObjectAccessed:Get", **S3}]},
    "a call that CloudTrail saw fail": {"detail": TRAIL | {"errorCode": "AccessDenied"}},
    "a call that reads": {"detail": TRAIL | {"eventName": "GetObject"}},
    "a piece of an upload": {"detail": TRAIL | {"eventName": "UploadPart"}},
    "a deletion as CloudEvent": CLOUD | {"type": "google.cloud.storage.object.v1.deleted"},
    "a read in the audit log": {"protoPayload": {**AUDIT["protoPayload"], "methodName": "storage.objects.get"}},
    "a folder marker of another prefix": {**EVENT, "data": {"bucket_name": BUCKET, "object_name": "reports/x/"}},
}  # fmt: skip


@pytest.mark.parametrize("name", IGNORED)
def test_sound_messages_that_announce_nothing(name: str) -> None:
    if "marker" not in name:
        assert read_notices(json.dumps(IGNORED[name])) == []
    assert read_announced(json.dumps(IGNORED[name]), None, EXPECTED) == Announced()


UNKNOWN = {
    "names in one text": {"text": f"new object s3://{BUCKET}/{KEY}"},
    "names apart": {"container": BUCKET.upper(), "blob": {"path": KEY}},
    "names encoded twice": {"container": BUCKET, "path": KEY.replace("/", "%252F")},
    "names encoded": {"container": BUCKET, "path": KEY.replace("/", "%2F")},
    "names in base64": {"blob": base64.b64encode(json.dumps({"b": BUCKET, "k": KEY}).encode()).decode()},
    "names in JSON in a text": {"inner": json.dumps({"b": BUCKET, "k": json.dumps(KEY)})},
    "the key alone": {"file": KEY},
    "an event of S3 that is not known": {"Records": [RECORD | {"eventName": "ObjectMoved:Rename"}]},
    "a record without a name of its event": {"Records": [S3]},
    "a detail that is not known": {"detail-type": "Object Moved", "detail": {**BRIDGE["detail"], "reason": "x"}},
    "a call that is not known": {"detail": TRAIL | {"eventName": "MoveObject"}},
    "a kind of CloudEvent that is not known": CLOUD | {"type": "google.cloud.storage.object.v1.moved"},
    "Pismo's event with other names": {**EVENT, "data": {"bucket": BUCKET, "path": KEY}},
    "names in base64 of several lines": {
        "blob": base64.encodebytes(json.dumps({"b": BUCKET, "k": KEY, "x": "y" * 60}).encode()).decode()
    },
    "the subject of a CloudEvent": {
        "specversion": "1.0", "type": "com.amazonaws.s3.objectcreated", "source": f"arn:aws:s3:::{BUCKET}",
        "subject": KEY, "data": {"size": 5},
    },
    "the subject of a CloudEvent with text": {
        "specversion": "1.0", "type": "x", "source": BUCKET, "subject": KEY, "data": "{}",
    },
    "a resource of EventBridge": {"detail-type": "x", "resources": [f"arn:aws:s3:::{BUCKET}/{KEY}"], "detail": {}},
    "the subject of SNS": sns({"a": 1}) | {"Subject": f"s3://{BUCKET}/{KEY}"},
    "an attribute of SQS": {"Records": [{"messageId": "1", "body": "{}", "messageAttributes": {"key": KEY}}]},
    "the key of a partition": {"Records": [{"kinesis": {"data": "e30=", "partitionKey": KEY}}]},
    "beside a message of Pub/Sub": {"message": {"data": "e30="}, "bucket": BUCKET, "object": KEY},
    "beside no records": {"Records": [], "bucket": BUCKET, "key": KEY},
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_shape_that_names_an_event_file_is_not_to_be_deleted(name: str) -> None:
    for body in (UNKNOWN[name], sns(UNKNOWN[name]), [UNKNOWN[name]]):
        found = read_announced(json.dumps(body), None, EXPECTED)
        assert found.notices == []
        assert found.problems == [f"it names {BUCKET} or an event file in an unknown shape"]


@pytest.mark.parametrize("depth", [6, 300, 950])
def test_however_deep_it_is(depth: int) -> None:
    body = '{"x":' * depth + json.dumps({"b": BUCKET, "k": KEY}) + "}" * depth
    assert len(read_announced(body, None, EXPECTED).problems) == 1


def test_a_part_that_is_not_understood_does_not_hide_the_others() -> None:
    foreign = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "other"}, "object": {"key": KEY}}}
    broken = {"eventName": "ObjectCreated:Put", "s3": {}}
    records = [foreign, broken, {"eventName": "ObjectMoved:Rename", **S3}, RECORD]
    found = read_announced(json.dumps({"Records": records}), None, EXPECTED)
    assert [notice.key for notice in found.notices] == ["main_stream/2020/4/1/23/a=b c"]
    assert len(found.problems) == 3


@pytest.mark.parametrize(
    "part",
    [
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": KEY}}}]},
        {"message": {"data": "%%%", "attributes": {"object": KEY}}},
        "{" + f"s3://{BUCKET}/{KEY}",
        [KEY],
    ],
    ids=["no bucket", "not base64", "not JSON", "a list"],
)
def test_a_broken_part_of_an_unknown_wrapper_does_not_go_with_its_sound_parts(part: Any) -> None:
    found = read_announced(
        json.dumps({"first": part, "second": {"Records": [RECORD]}, "tags": ["a", "b"]}), None, EXPECTED
    )
    assert [notice.key for notice in found.notices] == ["main_stream/2020/4/1/23/a=b c"]
    assert len(found.problems) == 1


SOUND = json.dumps(RECORD)
REPEATED = {
    "records": f'{{"Records": [{SOUND}], "Records": []}}',
    "an object": SOUND.replace('"object": {', '"object": {"key": "main_stream/2020/4/1/23/other", '),
    "in a text": json.dumps({"TopicArn": "t", "Message": f'{{"Records": [{SOUND}], "Records": [{{}}]}}'}),
    "in base64": json.dumps({"x": base64.b64encode(f'{{"k": "{KEY}", "k": 1}}'.encode()).decode()}),
}


@pytest.mark.parametrize("name", REPEATED)
def test_the_values_of_a_repeated_key_are_all_read(name: str) -> None:
    assert read_announced(REPEATED[name], None, EXPECTED).problems == [
        f"it names {BUCKET} or an event file in an unknown shape"
    ]


def test_a_repeated_key_that_says_the_same_makes_no_difference() -> None:
    assert read_announced(SOUND.replace("{", '{"x": 1, "x": 1, ', 1), None, EXPECTED).problems == []


GCS = {"bucketId": BUCKET, "objectId": KEY, "eventType": "OBJECT_FINALIZE"}


@pytest.mark.parametrize("body", ["", "no JSON", json.dumps({"size": "12"}), b"\xff"])
def test_a_notice_of_gcs_may_be_in_its_attributes_alone(body: str | bytes) -> None:
    size = 12 if "size" in str(body) else None
    assert read_notices(body, GCS) == [Notice(BUCKET, KEY, size)]
    assert read_notices(body, GCS | {"eventType": "OBJECT_DELETE"}) == []
    event = {"ce-type": CLOUD["type"], "ce-subject": CLOUD["subject"], "ce-source": CLOUD["source"]}
    assert read_notices(body, event) == [Notice(BUCKET, KEY, size)]


def test_an_event_type_of_somebody_elses_says_nothing_of_gcs() -> None:
    assert read_notices(json.dumps(EVENT), {"eventType": "new_bucket_object"}) == [FULL]
    assert read_announced("{}", {"eventType": "MOVED", "bucketId": BUCKET, "objectId": KEY}, EXPECTED).problems


SIZES = {
    "text of 5,000 digits": ('"' + "9" * 5000 + '"', None),
    "a number of 5,000 digits": ("9" * 5000, None),
    "more than a ledger holds": (str(1 << 63), None),
    "the most a ledger holds": (str((1 << 63) - 1), (1 << 63) - 1),
    "negative": ("-1", None),
    "a fraction": ("1.5", None),
    "not a number": ("NaN", None),
    "a list": ("[1]", None),
    "a truth": ("true", None),
    "another script's digit": ('"\u0663"', None),
    "text": ('"7"', 7),
}


@pytest.mark.parametrize("name", SIZES)
def test_a_size_that_is_none_is_as_good_as_not_there(name: str) -> None:
    written, size = SIZES[name]
    body = json.dumps({**EVENT, "data": {"bucket_name": BUCKET, "object_name": KEY, "object_size": "SIZE"}})
    assert read_notices(body.replace('"SIZE"', written)) == [Notice(BUCKET, KEY, size, ORG)]


@pytest.mark.parametrize(
    ("key", "form", "expected"),
    [
        ("a%20b", False, ("a%20b", "a b")),
        ("a b", False, ("a b", None)),
        ("a%zz", False, ("a%zz", None)),
        ("a+b", False, ("a+b", None)),
        ("a%3Db+c", True, ("a=b c", None)),
        ("a+b", True, ("a b", "a+b")),
        ("a%2Bb", True, ("a+b", None)),
        ("a%253Db", True, ("a%3Db", None)),
    ],
)
def test_the_spellings_of_a_key(key: str, form: bool, expected: tuple[str, str | None]) -> None:
    folder, (name, other) = "main_stream/2020/4/1/23/", expected
    if form:
        body: Any = {"Records": [{"eventName": "ObjectCreated:Put", "s3": {
            "bucket": {"name": BUCKET}, "object": {"key": folder + key}}}]}  # fmt: skip
    else:
        body = {**EVENT, "data": {"bucket_name": BUCKET, "object_name": folder + key}}
    (notice,) = read_notices(json.dumps(body))
    assert (notice.key, notice.other_key) == (folder + name, other and folder + other)


def test_a_key_that_was_encoded_twice_is_one_of_the_stream() -> None:
    key = quote(quote(KEY, safe=""), safe="")
    s3 = {"bucket": {"name": BUCKET}, "object": {"key": key}}
    found = read_announced(json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "s3": s3}]}), None, EXPECTED)
    assert [notice.key for notice in found.notices] == [KEY]


def test_attributes_of_a_pulled_message_count() -> None:
    assert read_notices(json.dumps(OBJECT), {"eventType": "OBJECT_DELETE"}) == []
    assert len(read_notices(json.dumps(OBJECT), {"eventType": "OBJECT_FINALIZE"})) == 1


BAD = {
    "not JSON": "}{",
    "an array": "[1]",
    "SNS with text": json.dumps({"TopicArn": "t", "Message": "hello"}),
    "SNS with a number": json.dumps({"TopicArn": "t", "Message": "1"}),
    "SNS confirmation": json.dumps({"TopicArn": "t", "Type": "SubscriptionConfirmation", "Message": "visit"}),
    "no bucket": json.dumps({**EVENT, "data": {"object_name": KEY}}),
    "no object": json.dumps({**EVENT, "data": {"bucket_name": BUCKET, "object_name": ""}}),
    "not base64": json.dumps({"message": {"data": "%%%"}}),
    "S3 without object": json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "s3": {}}]}),
    "nested for ever": "[" * 100_000,
}


@pytest.mark.parametrize("name", BAD)
def test_bad_messages_are_named(name: str) -> None:
    with pytest.raises(NoticeError):
        read_notices(BAD[name])


def test_wrapped_too_often() -> None:
    value: dict[str, Any] = EVENT
    for _ in range(8):
        value = {"detail": value}
    with pytest.raises(NoticeError, match="too many wrappers"):
        read_notices(json.dumps(value))


def test_leading_slashes_go_and_sizes_are_whole_numbers() -> None:
    data = {"bucket_name": BUCKET, "object_name": f"/{KEY}", "object_size": "x"}
    assert read_notices(json.dumps({**EVENT, "data": data})) == [Notice(BUCKET, KEY, None, ORG)]


def test_what_is_wanted() -> None:
    assert concerns(FULL, EXPECTED)
    assert concerns(Notice(BUCKET.upper(), KEY, None, ORG.lower()), EXPECTED)
    assert concerns(Notice(BUCKET, f"copied/{KEY}"), EXPECTED)
    assert not concerns(Notice(BUCKET, "reports/x/type=daily/year=2020/month=4/day=1/a.parquet"), EXPECTED)
    assert not concerns(Notice(BUCKET, "main_streams/2020/4/1/23/a"), EXPECTED)
    assert not concerns(Notice(BUCKET, "main_stream/2020/4/1/23/"), EXPECTED)
    assert not concerns(Notice(BUCKET, "main_stream/"), EXPECTED)


@pytest.mark.parametrize(
    "notice",
    [
        Notice("another-bucket", KEY),
        Notice(BUCKET, KEY, None, "TN-other"),
        Notice(BUCKET, "main_stream/nowhere"),
        Notice(BUCKET, "main_stream/2020/4/1/99/a"),
        Notice(BUCKET, f"{KEY}{'x' * 2000}"),
    ],
)
def test_notices_of_others_are_not_ours_to_delete(notice: Notice) -> None:
    with pytest.raises(NoticeError):
        concerns(notice, EXPECTED)


@pytest.mark.parametrize("name", ["a\0b", "a\ud800"])
def test_an_object_name_that_no_ledger_can_hold_is_left_to_the_redrive_policy(name: str) -> None:
    data = {"bucket_name": BUCKET, "object_name": f"{KEY}{name}", "object_size": 3}
    with pytest.raises(NoticeError, match="NUL or half a character"):
        list(read_notices(json.dumps({"domain": "dataplatform", "data": data})))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from([
            "Records", "message", "data", "detail", "Message", "TopicArn", "domain", "s3", "bucket", "x", "specversion",
            "type", "eventName", "eventSource", "body", "requestParameters", "protoPayload", "attributes", "Event",
        ]),
        inner,
    ),
)  # fmt: skip


@given(JSON)
def test_nothing_else_is_ever_raised(value: Any) -> None:
    try:
        for notice in read_notices(json.dumps(value)):
            concerns(notice, EXPECTED)
    except NoticeError:
        assert read_announced(json.dumps(value), None, EXPECTED).problems
