"""Find the good events in damaged bytes, and report exactly which bytes are not events.

This is the slow path, for bytes whose structure does not balance. It decodes value by value. If that fails, it moves
to the next place at which an event begins, and reports the bytes between as damage.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pismo_lake.decode.fields import ENVELOPE_KEYS
from pismo_lake.decode.nesting import doomed_places, is_too_deep

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_EVENT_BYTES = 64 << 20
"""A larger event is refused. Pismo's whole files are smaller."""

_SURE_BYTES, _MOST_VALUES = 16 << 20, 4_000_000
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)

# latin-1 keeps one character per byte, so offsets in the text are byte offsets; ï»¿ is a UTF-8 byte order mark.
# Possessive: otherwise the matcher stores a way back for each blank, some 100 bytes.
_BLANK = re.compile("(?:[ \t\r\n,\0\\[\\]]++|\u00ef\u00bb\u00bf)++")
_OBJECT = re.compile(r'\{\s*"')
_ENVELOPE = re.compile(rf'\{{\s*"(?:{"|".join(sorted(ENVELOPE_KEYS))})"\s*:')
# parse_int/parse_float as str: only the length is needed here, and very long digits must not raise.
_EXTENT = json.JSONDecoder(parse_int=str, parse_float=str, strict=False)

# A failure costs as much as this many characters, besides the characters that it read.
_FAILURE = 64
# about a second of decoding
_FREE = 64 << 20
_WINDOW, _WIDER = 1 << 14, 8
# an error so near a window's end may come from the end itself, which can cut a literal, a number or an escape
_TAIL = 16


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `[start, end)` of a file; `damage` is None for a whole JSON object, else the reason."""

    start: int
    end: int
    damage: str | None = None


def is_too_large(data: bytes | str, start: int, end: int) -> bool:
    """Return whether parsing an event of `data[start:end]` takes too much memory.

    Parsing takes up to 100 bytes for each value.
    """
    size = end - start
    if size <= _SURE_BYTES:
        return False
    if size > MAX_EVENT_BYTES:
        return True
    some = data[start:end]
    outside = _STRINGS.sub(b"", some.encode("latin-1") if isinstance(some, str) else some)
    return sum(map(outside.count, (b",", b"[", b"{"))) > _MOST_VALUES


def _looks_like_event(value: Any) -> bool:
    return isinstance(value, dict) and "event_id" in value and ("domain" in value or "event_type" in value)


def salvage(data: bytes, start: int, end: int) -> Iterator[Span]:
    """Yield the objects and the damaged ranges of `data[start:end]`, in order.

    After damage, an object counts as an event again only if it has an event's envelope: it may be a nested object of
    the damaged event. The work stays linear for hostile input: once failed attempts have cost more than a few passes
    over the bytes, only places that open with an envelope key are tried, and few of these.
    """
    attempts = _Attempts(data[start:end].decode("latin-1"))
    text = attempts.text
    size = len(text)
    position, bad_from, deep = 0, -1, False
    while position < size:
        if bad_from < 0:
            blank = _BLANK.match(text, position)
            position = blank.end() if blank else position
            if position >= size:
                return
            if attempts.has_overspent(position):
                bad_from, position = position, attempts.find_next(position)
                continue
        stop, value, too_deep = attempts.at(position)
        swallowed = _find_swallowed_event(attempts, position, stop) if isinstance(value, str) else 0
        if swallowed:
            # a stray quote before an event turns the event's beginning into a "string"
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
            bad_from, deep = position, too_deep
        position = attempts.find_next(stop or position + 1)
    if bad_from >= 0:
        torn = end == len(data) and text[bad_from] == "{"
        reason = "too_deep" if deep else "truncated" if torn else "invalid_json"
        yield Span(start + bad_from, end, reason)


def _find_swallowed_event(attempts: _Attempts, start: int, stop: int) -> int:
    """Return the place at which an event begins inside a string; 0 if none does."""
    for candidate in _OBJECT.finditer(attempts.text, start, min(stop + 1, len(attempts.text))):
        if _looks_like_event(attempts.at(candidate.start())[1]):
            return candidate.start()
    return 0


class _Attempts:
    """Attempts to decode at places of a text; counts the work of failed ones in characters."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.spent = 0
        self._doomed: set[int] = set()
        self._allowed = 2 * len(text) + _FREE

    def find_next(self, position: int) -> int:
        """Return the next place to try, from `position` on; the text's length if there is none.

        If too much work is spent, places are skipped: each skipped character pays for another attempt.
        """
        pattern = _OBJECT
        if self.has_overspent(0):
            pattern, position = _ENVELOPE, max(position, self.spent - self._allowed)
        found = pattern.search(self.text, position)
        return found.start() if found else len(self.text)

    def has_overspent(self, position: int) -> bool:
        """Return whether too much work is spent to try a place before `position`."""
        return self.spent - self._allowed > position

    def at(self, position: int) -> tuple[int, Any, bool]:
        """Decode at `position`: (end or 0, value, whether it is nested too deep).

        First a window of the text is decoded, then a wider one if the window's end may have caused the failure. So a
        failure costs no more than its window: the decoder counts lines from the text's beginning for each error.
        """
        if position in self._doomed:
            self.spent += _FAILURE
            return 0, None, True
        left = len(self.text) - position
        window = _WINDOW
        while True:
            piece = self.text[position : position + window]
            if is_too_large(piece, 0, len(piece)):
                self.spent += len(piece)
                return 0, None, False
            last = window >= min(left, MAX_EVENT_BYTES)
            self.spent += _FAILURE
            value, seen, error = _decode(piece)
            if seen is None or is_too_deep(piece[:seen]):
                # a version of Python that reads on has not looked at more
                self.spent += len(piece)
                self._doomed = {position + place for place in doomed_places(piece[: _WINDOW * _WIDER])}
                return 0, None, True
            if error is not None:
                unended = error.startswith("Unterminated string")
                self.spent += len(piece) if unended else seen
                if last or not (unended or seen > window - _TAIL):
                    return 0, None, False
            elif last or seen <= window - _TAIL:
                # no failure, and progress pays for it
                self.spent -= _FAILURE
                return position + seen, value, False
            else:
                self.spent += seen
            window = min(window * _WIDER, MAX_EVENT_BYTES)


def _decode(piece: str) -> tuple[Any, int | None, str | None]:
    """Return the value at the beginning, the number of characters read, and any error.

    The number is None if this version of Python cannot read so many levels.
    """
    try:
        value, stop = _EXTENT.raw_decode(piece)
    except json.JSONDecodeError as error:
        return None, error.pos, error.msg
    except RecursionError:
        return None, None, None
    return value, stop, None
