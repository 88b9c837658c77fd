"""Notices of new files: what stands in a queue's message, whichever envelope it came in.

Pismo sends an ordinary event for every upload to the bucket ("New file available in bucket", dataplatform /
new-bucket-object v1), reports included. It arrives bare, in SNS's wrapper, under EventBridge's ``detail``, base64 in
a Pub/Sub push body, or as a native S3 or GCS notice of a team that copies files onward. It is known by its structure,
since its wire name is not documented for certain.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from pismo_lake.errors import NoticeError
from pismo_lake.hours import PublishHour
from pismo_lake.paths import can_be_kept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.settings.channels import Expected

_DEPTH = 5
_LONGEST_KEY = 1024


@dataclass(frozen=True, slots=True)
class Notice:
    """One announced object: its bucket, key (no leading slash), size in bytes if told, and the organisation if told."""

    bucket: str
    key: str
    size: int | None = None
    organisation: str | None = None


def read_notices(body: str | bytes, attributes: Mapping[str, str] | None = None) -> list[Notice]:
    """The objects that a message announces; empty for a message that is sound and announces none.

    `attributes` are those of a pulled Pub/Sub message. `NoticeError` for what is no JSON object, or one that says a
    new file is there but not which.
    """
    if _other_gcs_event(attributes):
        return []
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        msg = "a notice that is not JSON"
        raise NoticeError(msg) from None
    if not isinstance(value, dict):
        msg = "a notice that is not a JSON object"
        raise NoticeError(msg)
    return list(_unwrap(value, _DEPTH))


def wanted(notice: Notice, expected: Expected) -> bool:
    """Whether a notice is of an event file of this delivery; False for other prefixes (reports).

    `NoticeError` for another organisation or bucket, or an event file outside an hour folder: such a message is not
    this delivery's to delete.
    """
    if notice.bucket.lower() != expected.bucket.lower():
        msg = f"a notice of bucket {notice.bucket[:100]!r}, expected {expected.bucket}"
        raise NoticeError(msg)
    if notice.organisation and notice.organisation.lower() != expected.organisation.lower():
        msg = f"a notice of organisation {notice.organisation[:100]!r}, expected {expected.organisation}"
        raise NoticeError(msg)
    if not in_prefix(notice.key, expected.prefix):
        return False
    if len(notice.key.encode("utf-8", "surrogatepass")) > _LONGEST_KEY or PublishHour.of_key(notice.key) is None:
        msg = f"a notice of {notice.key[:200]!r}, which does not stand in an hour folder"
        raise NoticeError(msg)
    return True


def in_prefix(key: str, prefix: str) -> bool:
    """Whether a key stands below a prefix; a bucket that files are copied to may have folders before it."""
    return f"/{prefix.strip('/')}/" in f"/{key}"


def _unwrap(value: dict[str, Any], depth: int) -> Iterator[Notice]:
    if depth == 0:
        msg = "a notice wrapped too often"
        raise NoticeError(msg)
    if _is_pismo(value):
        yield _of_pismo(value)
    elif isinstance(value.get("Records"), list):
        for record in value["Records"]:
            yield from _of_s3(record)
    elif value.get("kind") == "storage#object":
        yield _notice(value.get("bucket"), value.get("name"), value.get("size"), None)
    elif isinstance(value.get("Message"), str) and "TopicArn" in value:
        if value.get("Type") == "SubscriptionConfirmation":
            msg = "an SNS subscription that waits to be confirmed"
            raise NoticeError(msg)
        yield from _unwrap(_object(value["Message"], "an SNS message"), depth - 1)
    elif isinstance(value.get("detail"), dict):
        yield from _of_eventbridge(value, depth)
    elif isinstance(value.get("message"), dict) and "data" in value["message"]:
        yield from _of_push(value["message"], depth)


def _other_gcs_event(attributes: Any) -> bool:
    """GCS tells of deletions and changes too, with the same body."""
    kind = attributes.get("eventType") if isinstance(attributes, Mapping) else None
    return kind not in {None, "OBJECT_FINALIZE"}


def _is_pismo(value: dict[str, Any]) -> bool:
    """`domain` and the payload's keys say it; the event type comes in several spellings (facts §8.8)."""
    data = value.get("data")
    return value.get("domain") == "dataplatform" and isinstance(data, dict) and "object_name" in data


def _of_pismo(event: dict[str, Any]) -> Notice:
    data = event["data"]
    return _notice(data.get("bucket_name"), data.get("object_name"), data.get("object_size"), event.get("org_id"))


def _of_s3(record: Any) -> Iterator[Notice]:
    if not isinstance(record, dict) or not str(record.get("eventName", "")).startswith("ObjectCreated:"):
        return
    s3 = record.get("s3")
    bucket, item = (s3.get("bucket"), s3.get("object")) if isinstance(s3, dict) else (None, None)
    if not isinstance(bucket, dict) or not isinstance(item, dict):
        msg = "an S3 notice without its bucket or object"
        raise NoticeError(msg)
    # S3's own notices, unlike Pismo's, encode keys as a form does
    key = item.get("key")
    yield _notice(bucket.get("name"), unquote_plus(key) if isinstance(key, str) else key, item.get("size"), None)


def _of_eventbridge(value: dict[str, Any], depth: int) -> Iterator[Notice]:
    detail = value["detail"]
    bucket, item = detail.get("bucket"), detail.get("object")
    if value.get("source") == "aws.s3" and isinstance(bucket, dict) and isinstance(item, dict):
        if value.get("detail-type") == "Object Created":
            yield _notice(bucket.get("name"), item.get("key"), item.get("size"), None)
        return
    yield from _unwrap(detail, depth - 1)


def _of_push(message: dict[str, Any], depth: int) -> Iterator[Notice]:
    if not _other_gcs_event(message.get("attributes")):
        yield from _unwrap(_of_pubsub(message["data"]), depth - 1)


def _of_pubsub(data: Any) -> dict[str, Any]:
    try:
        text = base64.b64decode(str(data), validate=True)
    except (binascii.Error, ValueError):
        msg = "a Pub/Sub body whose data is not base64"
        raise NoticeError(msg) from None
    return _object(text, "a Pub/Sub message")


def _object(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        msg = f"{what} that is not JSON"
        raise NoticeError(msg) from None
    if not isinstance(value, dict):
        msg = f"{what} that is not a JSON object"
        raise NoticeError(msg)
    return value


def _notice(bucket: Any, key: Any, size: Any, organisation: Any) -> Notice:
    if not isinstance(bucket, str) or not bucket or not isinstance(key, str) or not key.strip("/"):
        msg = "a notice without a bucket or an object name"
        raise NoticeError(msg)
    if not can_be_kept(key):
        msg = "a notice of an object name with a NUL or half a character"
        raise NoticeError(msg)
    return Notice(bucket, key.lstrip("/"), _bytes(size), organisation if isinstance(organisation, str) else None)


def _bytes(size: Any) -> int | None:
    """GCS tells sizes as text; anything that is no whole number is as good as not told."""
    text = str(size)
    return int(text) if not isinstance(size, bool) and text.isascii() and text.isdigit() else None
