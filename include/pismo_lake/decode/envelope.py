"""Read the envelope of an event, once after its file is landed.

Source: Pismo's page "Event base contract".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from pismo_lake.decode.exact_json import DuplicateKeys, NonFiniteNumberError, loads
from pismo_lake.decode.fields import ENVELOPE_KEYS, REQUIRED_KEYS, TEXT_KEYS, VERSION_KEY
from pismo_lake.decode.timestamps import timestamp_us


class UnusableEventError(ValueError):
    """The bytes are no event that the lake can hold; `reason` is the word in `rejects`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Envelope:
    """The envelope of a usable event; its texts have the names of the columns of an index file.

    `timestamp_us` is in microseconds since 1970 UTC. It is None if the text is missing, or is no time, or has no zone.
    `plain` is False if a field is not of its documented kind, so that the slow path must report it.
    """

    event_id: str
    domain: str
    event_type: str
    org_id: str | None
    cid: str | None
    schema_version: str | None
    event_timestamp_text: str | None
    timestamp_us: int | None
    plain: bool


def parse(raw: bytes) -> tuple[dict[str, Any], bool]:
    """Parse an event; the second value is True if the strict parser accepts it.

    Raises:
        UnusableEventError: NaN, invalid UTF-8, or nesting that is too deep.
        ValueError: the bytes are not JSON.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return parse_exact(raw), False
    if not isinstance(value, dict):
        raise UnusableEventError("not_an_object")
    return value, True


def parse_exact(raw: bytes) -> dict[str, Any]:
    """Parse an event with exact digits, and allow control characters and lone surrogates.

    It raises the same errors as `parse`.
    """
    try:
        value = loads(_decode(raw))
    except NonFiniteNumberError:
        raise UnusableEventError("non_finite_number") from None
    except RecursionError:
        raise UnusableEventError("too_deep") from None
    if not isinstance(value, dict):
        raise UnusableEventError("not_an_object")
    return value


def _decode(raw: bytes) -> str:
    """Decode the text of an event.

    Raises:
        UnusableEventError: the bytes are not text.
        ValueError: their structure is broken too.
    """
    reason = "invalid_json"
    try:
        text = raw.decode()
        # NUL bytes are padding, or a torn write inside a string; the lenient parser would accept them
        if "\0" not in text:
            return text
    except UnicodeDecodeError:
        reason = "invalid_utf8"
    loads(raw.replace(b"\0", b" ").decode("latin-1"))
    raise UnusableEventError(reason)


def text_or_none(value: object) -> str | None:
    """Return a string that can be written as UTF-8, or else None."""
    if type(value) is not str:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def text_of_version(value: object) -> str | None:
    """Return a schema_version as text; None if it is neither text nor a 64-bit integer."""
    if type(value) is int:
        # the fast parser reads a larger number as a float
        return str(value) if -(1 << 63) <= value < 1 << 64 else None
    return text_or_none(value)


def envelope_of(event: dict[str, Any]) -> Envelope:
    """Read the envelope of an event.

    Raises:
        UnusableEventError: a required field is missing, empty or not text.
    """
    texts = {key: text_or_none(event.get(key)) for key in TEXT_KEYS}
    for key in REQUIRED_KEYS:
        if not texts[key]:
            raise UnusableEventError(f"missing_{key}")
    version, stamp = event.get(VERSION_KEY), texts["timestamp"]
    version_text = text_of_version(version)
    micros = timestamp_us(stamp) if stamp else None
    plain = (version_text is not None or version is None) and (micros is not None or event.get("timestamp") is None)
    # each field that is present must be text
    plain = plain and not any(text is None and event.get(key) is not None for key, text in texts.items())
    return Envelope(
        event_id=texts["event_id"] or "",
        domain=texts["domain"] or "",
        event_type=texts["event_type"] or "",
        org_id=texts["org_id"],
        cid=texts["cid"],
        schema_version=version_text,
        event_timestamp_text=stamp,
        timestamp_us=micros,
        plain=plain and not isinstance(event, DuplicateKeys),
    )


def extra_keys(event: dict[str, Any]) -> dict[str, Any]:
    """Return the keys beyond the documented envelope, in the event's own order."""
    if not event.keys() - ENVELOPE_KEYS:
        return {}
    return {key: value for key, value in event.items() if key not in ENVELOPE_KEYS}
