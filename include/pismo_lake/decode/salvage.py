"""Find the good events of damaged bytes, and say exactly which bytes are not events.

The slow road, taken only where the structural scan does not come out even: decode value by value; where that
fails, move to the next place at which an event begins, and report everything between as damage.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# latin-1 keeps one character per byte, so offsets in the text are byte offsets; ï»¿ is a UTF-8 byte order mark.
_BLANK = re.compile("(?:[ \t\r\n,\0\\[\\]]|\u00ef\u00bb\u00bf)+")
_OBJECT = re.compile(r'\{\s*"')
_ENVELOPE = re.compile(r'\{\s*"(?:event_id|schema_version|domain|event_type|org_id|cid|timestamp|data)"\s*:')
# parse_int/parse_float as str: only the extent is wanted here, and very long digits must not raise.
_EXTENT = json.JSONDecoder(parse_int=str, parse_float=str, strict=False)

# What a RecursionError is booked as: negative, which no position is.
_DEEP_COST = -4096


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `[start, end)` of a file; `damage` is None for a whole JSON object, else the reason."""

    start: int
    end: int
    damage: str | None = None


def _looks_like_event(value: Any) -> bool:
    return isinstance(value, dict) and "event_id" in value and ("domain" in value or "event_type" in value)


def salvage(data: bytes, start: int, end: int) -> Iterator[Span]:
    """Yield the objects and the damaged ranges of `data[start:end]`, in order.

    After damage only an object that carries an event's envelope is taken for an event again: a nested object
    of the damaged event is not one. Work stays linear for hostile input: once failed attempts have cost more
    than a few passes over the bytes, only places that open with an envelope key are tried.
    """
    text = data[start:end].decode("latin-1")
    size = len(text)
    budget = 4 * size + (16 << 20)
    position, bad_from, deep = 0, -1, False
    while position < size:
        if bad_from < 0:
            blank = _BLANK.match(text, position)
            position = blank.end() if blank else position
            if position >= size:
                return
        stop, value, cost = _attempt(text, position)
        budget -= abs(cost)
        swallowed = _swallowed_event(text, position, stop) if isinstance(value, str) else 0
        if swallowed:
            # a stray quote in front of an event makes a "string" of its beginning
            bad_from = position if bad_from < 0 else bad_from
            position = swallowed
            continue
        if stop and bad_from < 0:
            reason = None if isinstance(value, dict) else "not_an_object"
            yield Span(start + position, start + stop, reason)
            position = stop
            continue
        if stop and _looks_like_event(value):
            yield Span(start + bad_from, start + position, "too_deep" if deep else "invalid_json")
            yield Span(start + position, start + stop)
            position, bad_from = stop, -1
            continue
        if bad_from < 0:
            bad_from, deep = position, cost == _DEEP_COST
        following = (_OBJECT if budget > 0 else _ENVELOPE).search(text, stop or position + 1)
        if following is None:
            break
        position = following.start()
    if bad_from >= 0:
        torn = end == len(data) and text[bad_from] == "{"
        reason = "too_deep" if deep else "truncated" if torn else "invalid_json"
        yield Span(start + bad_from, end, reason)


def _swallowed_event(text: str, start: int, stop: int) -> int:
    """Where an event begins inside what reads as a string, 0 where none does."""
    for candidate in _OBJECT.finditer(text, start, min(stop + 1, len(text))):
        if _looks_like_event(_attempt(text, candidate.start())[1]):
            return candidate.start()
    return 0


def _attempt(text: str, position: int) -> tuple[int, Any, int]:
    """Decode at `position`: (end or 0, value, characters spent in vain)."""
    try:
        value, stop = _EXTENT.raw_decode(text, position)
    except json.JSONDecodeError as error:
        return 0, None, max(error.pos - position, 1)
    except RecursionError:
        return 0, None, _DEEP_COST
    return stop, value, 0
