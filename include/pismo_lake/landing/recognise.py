"""Recognise an event file by its content, to land it from a folder with other files.

A damaged event file is still one: raw bytes are kept first. A file is refused if nothing in it shows an event, or if
it is a text that only quotes an event.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

from pismo_lake.decode.container import uncompress
from pismo_lake.decode.envelope import UnusableEventError, envelope_of, parse
from pismo_lake.decode.split import recover, split
from pismo_lake.errors import FramingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.decode.envelope import Envelope

_HEAD = 1 << 16
_BLANKS = b" \t\r\n,\0\xef\xbb\xbf"
_KEYS = re.compile(rb'"(event_id|domain|event_type|schema_version|org_id|cid|timestamp|data)"\s*:')
_GZIP = b"\x1f\x8b"


def explain_no_event_file(raw: bytes, name: str, *, hour_known: bool) -> str | None:
    """Return why a file is no event file; None if it is one, or may be a damaged one.

    If the publish hour is unknown (not `hour_known`), the file must have an event with a time, and must be mostly
    events.
    """
    if hour_known and _shows_event(_head(raw)):
        return None
    try:
        plain = uncompress(raw, name)
    except FramingError as error:
        # a file in an hour folder is kept, even with another compression
        return None if hour_known else str(error)
    data = plain.data
    if hour_known:
        kept = plain.lost or not data.strip(_BLANKS) or _shows_event(data) or any(_events(data))
        return None if kept else "it holds no event"
    if not data.lstrip(_BLANKS).startswith((b"{", b"[")) and 2 * _size_of_events(data) < len(data):
        return "it holds no event, or only a text that quotes one"
    timed = any(event.timestamp_us is not None for event in _events(data))
    return None if timed else "it has neither an hour folder nor a timed event: give --publish-hour"


def _head(raw: bytes) -> bytes:
    """Return the beginning of a file's content; nothing if gzip is damaged there."""
    if not raw.startswith(_GZIP):
        return raw[:_HEAD]
    try:
        return zlib.decompressobj(wbits=31).decompress(raw, _HEAD)
    except zlib.error:
        return b""


def _shows_event(data: bytes) -> bool:
    """Return whether two keys of an envelope appear in the data; the event may be damaged."""
    first = _KEYS.search(data)
    return first is not None and any(found[1] != first[1] for found in _KEYS.finditer(data, first.end()))


def _events(data: bytes) -> Iterator[Envelope]:
    """Yield the envelopes of a file's usable events."""
    spans = split(data)
    while (span := next(spans, None)) is not None:
        if span.damage is not None:
            continue
        try:
            yield envelope_of(parse(data[span.start : span.end])[0])
        except UnusableEventError:
            continue
        except ValueError:
            spans = recover(data, span.start)


def _size_of_events(data: bytes) -> int:
    return sum(span.end - span.start for span in split(data) if span.damage is None)
