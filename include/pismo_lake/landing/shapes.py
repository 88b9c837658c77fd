"""Find the objects that a message announces, in any of the shapes of such messages.

Known are Pismo's own event, S3's notices (also MinIO's and Ceph's), EventBridge, CloudTrail, GCS's notices with and
without a payload, CloudEvents and Cloud Audit Logs. Each may be wrapped: by SNS, by SQS, by Pub/Sub, or as text in
another message. Parts of unknown shape are returned separately, so that the caller can leave the message alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pismo_lake.errors import NoticeError
from pismo_lake.landing.values import (
    DEPTH,
    decode_base64,
    decode_if_base64,
    dict_in,
    loads,
    size_in,
    size_of,
    spellings,
)
from pismo_lake.paths import can_be_kept

if TYPE_CHECKING:
    from collections.abc import Callable

_S3_CREATED = ("objectcreated:", "objectsynced:create", "objectrestore:completed")
_S3_OTHER = (
    "objectremoved:", "objectrestore:", "objecttagging:", "objectacl:", "objectaccessed:", "objecttransition:",
    "objectsynced:", "objectlifecycle:", "lifecycleexpiration:", "lifecycletransition", "intelligenttiering",
    "replication:", "reducedredundancylostobject", "testevent", "bucketcreated:", "bucketremoved:", "scanner:",
)  # fmt: skip
_BRIDGE_CREATED = frozenset({"Object Created", "Object Restore Completed"})
_BRIDGE_OTHER = frozenset(
    {
        "Object Deleted", "Object Restore Initiated", "Object Restore Expired", "Object Tags Added",
        "Object Tags Deleted", "Object ACL Updated", "Object Storage Class Changed", "Object Access Tier Changed",
    }
)  # fmt: skip
# `detail.reason` of EventBridge's "Object Created"
_REASONS = frozenset({"PutObject", "POST Object", "CopyObject", "CompleteMultipartUpload"})
_TRAIL_CREATED = frozenset({"PutObject", "PostObject", "CopyObject", "CompleteMultipartUpload"})
_TRAIL_OTHER = ("Get", "List", "Head", "Delete", "Abort", "Create", "Upload", "Restore", "Select", "Put")
_GCS_OTHER = frozenset({"OBJECT_DELETE", "OBJECT_ARCHIVE", "OBJECT_METADATA_UPDATE"})
_GCS_EVENT = "google.cloud.storage.object.v1."
_GCS_EVENT_OTHER = frozenset({"deleted", "archived", "metadataUpdated"})
_AUDIT_OTHER = frozenset({"get", "list", "delete", "update", "patch", "getIamPolicy", "setIamPolicy"})
_RESOURCE = re.compile(r"projects/[^/]+/buckets/([^/]+)/objects/(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Notice:
    """One announced object: its bucket, key (no leading slash), size in bytes, and organisation.

    If the message does not say whether its key is encoded, `other_key` is the second spelling.
    """

    bucket: str
    key: str
    size: int | None = None
    organisation: str | None = None
    other_key: str | None = field(default=None, compare=False)


@dataclass(slots=True)
class Contents:
    """The contents of a message: its notices, the faults of its known parts, and unknown parts."""

    notices: list[Notice] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    unknown: list[Any] = field(default_factory=list)


def contents_of(body: str | bytes, attributes: Mapping[str, Any] | None = None) -> Contents:
    """Read a message; `attributes` are those of a message pulled from Pub/Sub."""
    found = Contents()
    _Reader(found).message(body, attributes if isinstance(attributes, Mapping) else {}, DEPTH)
    return found


class _Reader:
    """Reads one message; a fault of one part does not stop the others."""

    def __init__(self, found: Contents) -> None:
        self._found = found

    def message(self, body: str | bytes, attributes: Mapping[str, Any], depth: int) -> None:
        """Read a message with its attributes; GCS may put the whole notice in them."""
        kind = attributes.get("eventType")
        if kind in _GCS_OTHER:
            return
        bucket, name = attributes.get("bucketId"), attributes.get("objectId")
        if bucket and name and kind in {None, "OBJECT_FINALIZE"}:
            self._try(lambda: self._add(bucket, name, size_in(body), None))
            return
        event = {key[3:].lower(): value for key, value in attributes.items() if key[:3].lower() in {"ce-", "ce_"}}
        if str(event.get("type", "")).startswith(_GCS_EVENT):
            data = dict_in(body)
            self._try(lambda: self._cloud_event({**event, "data": data}, depth))
            return
        before = len(self._found.unknown), len(self._found.notices)
        self._try(lambda: self._text(body, "the message", depth))
        if attributes and len(self._found.unknown) > before[0] and len(self._found.notices) == before[1]:
            # the attributes of an unknown message may name the object
            self._found.unknown.append(dict(attributes))

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except NoticeError as error:
            self._found.faults.append(str(error))

    def _text(self, text: str | bytes, name: str, depth: int) -> None:
        """Read a text that must be a JSON object, or a list of objects."""
        try:
            value = loads(text.lstrip("\ufeff") if isinstance(text, str) else text, self._found.unknown)
            if isinstance(value, str):
                value = loads(value, self._found.unknown)
        except NoticeError:
            plain = text if isinstance(text, str) else text.decode("utf-8", "replace")
            inner = decode_if_base64(plain.strip())
            try:
                value = None if inner is None else loads(inner, self._found.unknown)
            except NoticeError:
                value = None
            if not isinstance(value, dict | list):
                msg = f"{name} is not JSON"
                raise NoticeError(msg) from None
        if not isinstance(value, dict | list):
            msg = f"{name} is not a JSON object"
            raise NoticeError(msg)
        self._value(value, name, depth)

    def _value(self, value: Any, name: str, depth: int) -> None:
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                self._try(lambda item=item: self._object(item, depth))  # type: ignore[misc]
            else:
                self._found.faults.append(f"{name} is not a JSON object")

    def _object(self, value: dict[str, Any], depth: int) -> None:
        """Read a JSON object; if it has an unknown part and no notice, all of it is of unknown shape."""
        if depth == 0:
            msg = "it has too many wrappers"
            raise NoticeError(msg)
        before = len(self._found.unknown), len(self._found.notices)
        self._shape(value, depth)
        if len(self._found.unknown) > before[0] and len(self._found.notices) == before[1]:
            # the wrapper of an unknown part may name the object: a subject, an ARN, an attribute
            self._found.unknown.append(value)

    def _shape(self, value: dict[str, Any], depth: int) -> None:
        """Read a JSON object by the shape that its keys show."""
        message, detail = value.get("message"), value.get("detail")
        records = next((value[name] for name in ("Records", "Event") if isinstance(value.get(name), list)), None)
        if _is_pismo(value):
            data = value["data"]
            self._add(data.get("bucket_name"), data.get("object_name"), data.get("object_size"), value.get("org_id"))
        elif records:
            for record in records:
                self._try(lambda record=record: self._record(record, depth))  # type: ignore[misc]
        elif value.get("Event") == "s3:TestEvent":
            return
        elif value.get("kind") == "storage#object":
            self._add(value.get("bucket"), value.get("name"), value.get("size"), None)
        elif isinstance(value.get("Message"), str) and ("TopicArn" in value or value.get("Type") == "Notification"):
            self._sns(value, depth)
        elif "specversion" in value and isinstance(value.get("type"), str):
            self._cloud_event(value, depth)
        elif isinstance(detail, dict):
            self._bridge(value, detail, depth)
        elif isinstance(message, dict) and ("data" in message or "attributes" in message):
            self._push(message, depth)
        else:
            self._record(value, depth)

    def _record(self, record: Any, depth: int) -> None:
        """Read one record of a list, or an object that could be one."""
        if not isinstance(record, dict):
            self._found.unknown.append(record)
            return
        sns, kinesis = record.get("Sns"), record.get("kinesis")
        if isinstance(sns, dict) and isinstance(sns.get("Message"), str):
            self._sns(sns, depth)
        elif isinstance(kinesis, dict) and "data" in kinesis:
            self._text(decode_base64(kinesis["data"]), "a Kinesis record", depth - 1)
        elif isinstance(record.get("body"), str) and ("messageId" in record or "eventSource" in record):
            self._text(record["body"], "the body of an SQS record", depth - 1)
        elif isinstance(record.get("requestParameters"), dict) and record.get("eventSource") == "s3.amazonaws.com":
            self._trail(record)
        elif isinstance(record.get("protoPayload"), dict):
            self._audit(record["protoPayload"], record)
        elif isinstance(record.get("eventName"), str) and ("s3" in record or _s3_event(record["eventName"])):
            self._s3(record)
        elif isinstance(record.get("EventName"), str) and isinstance(record.get("Key"), str):
            self._minio(record)
        elif record.get("reason") in _REASONS and _names_object(record):
            self._add(record["bucket"].get("name"), record["object"].get("key"), record["object"].get("size"), None)
        else:
            self._descend(record, depth)

    def _s3(self, record: dict[str, Any]) -> None:
        created = _s3_event(record["eventName"])
        if created is None:
            self._found.unknown.append(record)
        elif created:
            s3 = record.get("s3")
            if not isinstance(s3, dict) or not _names_object(s3):
                msg = "it is an S3 notice without its bucket or object"
                raise NoticeError(msg)
            self._add(s3["bucket"].get("name"), s3["object"].get("key"), s3["object"].get("size"), None, form=True)

    def _minio(self, record: dict[str, Any]) -> None:
        """Read MinIO's frame without records; its key begins with the bucket and is not encoded."""
        created = _s3_event(record["EventName"])
        bucket, _, key = record["Key"].partition("/")
        if created is None:
            self._found.unknown.append(record)
        elif created:
            self._add(bucket, key, None, None)

    def _sns(self, value: dict[str, Any], depth: int) -> None:
        if value.get("Type") in {"SubscriptionConfirmation", "UnsubscribeConfirmation"}:
            msg = "it is an SNS subscription that must be confirmed"
            raise NoticeError(msg)
        self._text(value["Message"], "an SNS message", depth - 1)

    def _bridge(self, value: dict[str, Any], detail: dict[str, Any], depth: int) -> None:
        kind = value.get("detail-type")
        if _names_object(detail) and (kind in _BRIDGE_CREATED or detail.get("reason") in _REASONS):
            self._add(detail["bucket"].get("name"), detail["object"].get("key"), detail["object"].get("size"), None)
        elif not (_names_object(detail) and kind in _BRIDGE_OTHER):
            self._object(detail, depth - 1)

    def _trail(self, record: dict[str, Any]) -> None:
        """Read a call from CloudTrail's log; a failed call created no object."""
        name, asked = str(record.get("eventName")), record["requestParameters"]
        if name in _TRAIL_CREATED:
            if not record.get("errorCode"):
                self._add(asked.get("bucketName"), asked.get("key"), None, None)
        elif not name.startswith(_TRAIL_OTHER):
            self._found.unknown.append(record)

    def _audit(self, call: dict[str, Any], record: dict[str, Any]) -> None:
        """Read a call from Google's audit log."""
        method, status = str(call.get("methodName", "")), call.get("status")
        resource = _RESOURCE.fullmatch(str(call.get("resourceName", "")))
        if method == "storage.objects.create" and resource:
            if not (isinstance(status, dict) and status.get("code")):
                self._add(resource[1], resource[2], None, None)
        elif not (method.startswith("storage.objects.") and method.rsplit(".", 1)[-1] in _AUDIT_OTHER):
            self._found.unknown.append(record)

    def _cloud_event(self, event: dict[str, Any], depth: int) -> None:
        kind, data = event["type"], event.get("data")
        if data is None and isinstance(event.get("data_base64"), str):
            data = decode_base64(event["data_base64"])
        if not kind.startswith(_GCS_EVENT):
            if isinstance(data, dict):
                self._object(data, depth - 1)
            elif isinstance(data, str | bytes):
                self._text(data, "the data of a CloudEvent", depth - 1)
            else:
                self._found.unknown.append(event)
            return
        if isinstance(data, str | bytes):
            data = dict_in(data)
        kind, known = kind.removeprefix(_GCS_EVENT), data if isinstance(data, dict) else {}
        if kind == "finalized":
            bucket = known.get("bucket") or str(event.get("source", "")).rpartition("/buckets/")[2]
            name = known.get("name") or str(event.get("subject", "")).removeprefix("objects/")
            self._add(bucket, name, known.get("size"), None)
        elif kind not in _GCS_EVENT_OTHER:
            self._found.unknown.append(event)

    def _push(self, message: dict[str, Any], depth: int) -> None:
        attributes = message.get("attributes")
        body = decode_base64(message["data"]) if message.get("data") is not None else b""
        self.message(body, attributes if isinstance(attributes, dict) else {}, depth - 1)

    def _descend(self, value: dict[str, Any], depth: int) -> None:
        """Look for notices inside an object of unknown shape, which may be an unknown wrapper."""
        inside = Contents()
        reader = _Reader(inside)
        for item in value.values() if depth > 1 else ():
            faults = len(inside.faults)
            if isinstance(item, dict | list):
                reader._value(item, "it", depth - 1)
            elif isinstance(item, str) and item[:1] in {"{", "["}:
                reader._try(lambda item=item: reader._text(item, "it", depth - 1))  # type: ignore[misc]
            if len(inside.faults) > faults:
                # any text or list may be here: it matters only if it names an object
                inside.unknown.append(item)
        if inside.notices:
            self._found.notices += inside.notices
            self._found.unknown += inside.unknown
        else:
            self._found.unknown.append(value)

    def _add(self, bucket: Any, key: Any, size: Any, organisation: Any, *, form: bool = False) -> None:
        """Add a notice; S3 encodes its keys like a `form`, all others write them unchanged."""
        if not isinstance(bucket, str) or not bucket or not isinstance(key, str) or not key.strip("/"):
            msg = "it is a notice without a bucket or an object name"
            raise NoticeError(msg)
        name, other = spellings(key, form=form)
        if not can_be_kept(name):
            msg = "it is a notice whose object name has a NUL or half a character"
            raise NoticeError(msg)
        org = organisation if isinstance(organisation, str) else None
        self._found.notices.append(Notice(bucket, name, size_of(size), org, other))


def _is_pismo(value: dict[str, Any]) -> bool:
    """Return whether it is Pismo's event, by `domain` and payload keys: its type varies."""
    data = value.get("data")
    return value.get("domain") == "dataplatform" and isinstance(data, dict) and "object_name" in data


def _names_object(value: dict[str, Any]) -> bool:
    return isinstance(value.get("bucket"), dict) and isinstance(value.get("object"), dict)


def _s3_event(name: str) -> bool | None:
    """Return whether an S3 event says that an object can be read; None for an unknown name."""
    plain = name.lower().removeprefix("s3:")
    if plain.startswith(_S3_CREATED):
        return True
    return False if plain.startswith(_S3_OTHER) else None
