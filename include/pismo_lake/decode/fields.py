"""Define the keys of an event's envelope, in one table.

Source: Pismo's page "Event base contract".
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

_ANY_NUMBER = pa.decimal128(38, 18)


@dataclass(frozen=True, slots=True)
class EnvelopeField:
    """One key of the envelope.

    Attributes:
        key: the key in the event.
        column: the column of an index file that holds its text.
        lake_column: its column in the lake; None if the lake holds it only in the path of the partition.
        required: if true, an event without it is not usable.
        read_as: the Arrow type that the fast path reads it as.
    """

    key: str
    column: str
    lake_column: str | None
    required: bool = False
    read_as: pa.DataType = pa.string()  # noqa: RUF009 - an immutable value

    @property
    def is_text(self) -> bool:
        """Return whether Pismo always writes the value as text."""
        return bool(self.read_as == pa.string())


ENVELOPE = (
    EnvelopeField("event_id", "event_id", "event_id", required=True),
    EnvelopeField("org_id", "org_id", "org_id"),
    EnvelopeField("cid", "cid", "cid"),
    # Pismo writes an integer or a text; a reader of decimals accepts both
    EnvelopeField("schema_version", "schema_version", "schema_version", read_as=_ANY_NUMBER),
    EnvelopeField("domain", "domain", None, required=True),
    EnvelopeField("event_type", "event_type", "event_type_text", required=True),
    # the index and the lake also hold the time itself, as `TIME_COLUMN`
    EnvelopeField("timestamp", "event_timestamp_text", "event_timestamp_text"),
)
"""The fields of the envelope, in the order of the lake's columns."""

TIME_COLUMN = "event_timestamp"
"""The column of the time that `timestamp` names: microseconds since 1970 UTC, null without a zone."""

PAYLOAD_KEY = "data"
"""The key of the payload."""

ENVELOPE_KEYS = frozenset({*(field.key for field in ENVELOPE), PAYLOAD_KEY})
"""Every key that the contract documents; any other key is an extra one."""

TEXT_KEYS = tuple(field.key for field in ENVELOPE if field.is_text)
"""The keys whose values are always text."""

REQUIRED_KEYS = tuple(field.key for field in ENVELOPE if field.required)
"""The keys without which an event is not usable."""

VERSION_KEY = next(field.key for field in ENVELOPE if not field.is_text)
"""The key of the schema version."""

TYPE_KEYS = ("domain", "event_type", VERSION_KEY)
"""The keys that name the type of an event."""

LAKE_COLUMNS = (
    *(field.column for field in ENVELOPE if field.lake_column and field.key != "timestamp"),
    TIME_COLUMN,
    next(field.column for field in ENVELOPE if field.key == "timestamp"),
)
"""The columns of an index file that become the first columns of the lake's rows, in order."""
