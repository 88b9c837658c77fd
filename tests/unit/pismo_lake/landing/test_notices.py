"""Every envelope a notice may come in, and what must not be taken for one."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pismo_lake.errors import NoticeError
from pismo_lake.landing.notices import Notice, read_notices, wanted
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
}  # fmt: skip


@pytest.mark.parametrize("name", IGNORED)
def test_sound_messages_that_announce_nothing(name: str) -> None:
    assert read_notices(json.dumps(IGNORED[name])) == []


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
    with pytest.raises(NoticeError, match="too often"):
        read_notices(json.dumps(value))


def test_leading_slashes_go_and_sizes_are_whole_numbers() -> None:
    data = {"bucket_name": BUCKET, "object_name": f"/{KEY}", "object_size": "x"}
    assert read_notices(json.dumps({**EVENT, "data": data})) == [Notice(BUCKET, KEY, None, ORG)]


def test_what_is_wanted() -> None:
    assert wanted(FULL, EXPECTED)
    assert wanted(Notice(BUCKET.upper(), KEY, None, ORG.lower()), EXPECTED)
    assert wanted(Notice(BUCKET, f"copied/{KEY}"), EXPECTED)
    assert not wanted(Notice(BUCKET, "reports/x/type=daily/year=2020/month=4/day=1/a.parquet"), EXPECTED)
    assert not wanted(Notice(BUCKET, "main_streams/2020/4/1/23/a"), EXPECTED)


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
        wanted(notice, EXPECTED)


@pytest.mark.parametrize("name", ["a\0b", "a\ud800"])
def test_an_object_name_that_no_ledger_can_hold_is_left_to_the_redrive_policy(name: str) -> None:
    data = {"bucket_name": BUCKET, "object_name": f"{KEY}{name}", "object_size": 3}
    with pytest.raises(NoticeError, match="NUL or half a character"):
        list(read_notices(json.dumps({"domain": "dataplatform", "data": data})))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["Records", "message", "data", "detail", "Message", "TopicArn", "domain", "s3", "bucket", "x"]),
        inner,
    ),
)  # fmt: skip


@given(JSON)
def test_nothing_else_is_ever_raised(value: Any) -> None:
    try:
        for notice in read_notices(json.dumps(value)):
            wanted(notice, EXPECTED)
    except NoticeError:
        pass
