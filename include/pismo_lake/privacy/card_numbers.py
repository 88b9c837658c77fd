"""Find card numbers in text and in JSON numbers: by prefix, length, Luhn check and groups.

A number is a card number if a network issues numbers with its first digits and length, and it passes the Luhn check.
In text its digits are in one run, or in the groups that a network prints on its cards. Other digits beside it, or
invisible signs and escapes in it, do not hide it. The time of the search depends only on the length of the text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pismo_lake.privacy.card_groups import MOST_GROUPS, ends_of_groups
from pismo_lake.privacy.card_networks import LEAST_NUMBER, LONGEST, SHORTEST, ascii_digits, is_card_number
from pismo_lake.privacy.escapes import (
    ESCAPE_SUSPECT,
    INVISIBLE_SIGNS,
    has_invisible,
    without_escapes,
    without_invisible,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.privacy.escapes import Placed

STARS = "****"
"""Replaces the removed digits of a card number."""

_LEFT = 4
_DIGITS = re.compile(r"\d+")
_DECIMAL = re.compile(r"\s*[+-]?\d{1,40}\.\d{1,40}\s*", re.ASCII)
# a number of 13 to 19 digits, as Java writes it
_SCIENTIFIC = re.compile(r"(?<![\d.,])\d\.\d{1,18}[eE]\+?1[2-8](?!\d)", re.ASCII)
# UUIDs and digests: their digits are no card number, even if they pass the check
_HEX = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
    # with three letters or more, so that track 2 in hexadecimal digits (4111111111111111D2912…F) does not match
    r"|(?=(?:[0-9]{0,60}[a-fA-F]){3})(?:[0-9a-fA-F]{24}|[0-9a-fA-F]{32,128}))(?![0-9A-Za-z])"
)
_TRACK_1 = re.compile(r"\^[^\^?\n]{0,40}\^[^?\n]{0,80}")
_TRACK_2 = re.compile(r"[=Dd]\d{4,}")

SUSPECT = (
    r"\p{Nd}{13}|\p{Nd}{4}[^\p{L}\p{N}]{1,4}(?:\p{Nd}{8}|\p{Nd}{3,8}[^\p{L}\p{N}]{1,4}\p{Nd}{3})"
    rf"|\p{{Nd}}[^\p{{L}}\p{{N}}]{{0,8}}[{INVISIBLE_SIGNS}]|[0-9]\.[0-9]{{1,18}}[eE]\+?1[2-8]"
    rf"|{ESCAPE_SUSPECT}"
)
"""A pattern (RE2) that matches every text with a card number, and few other texts."""


def mask_number(value: Any) -> str | None:
    """Return the masked text of a JSON number that is a card number, otherwise None."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    if isinstance(value, Decimal):
        # a number with more digits before the point is no card number, and may be very long
        if not value.is_finite() or not SHORTEST <= value.adjusted() + 1 <= LONGEST or value % 1:
            return None
        value = int(value)
    value = abs(value)
    if not LEAST_NUMBER <= value < 10**LONGEST or not is_card_number(str(value)):
        return None
    return STARS + str(value)[-_LEFT:]


def mask_text(text: str) -> str:
    """Mask each card number in a text except its last four digits, and the track data after it."""
    if _DECIMAL.fullmatch(text):
        return mask_number(Decimal(text.strip())) or text
    text = _SCIENTIFIC.sub(lambda found: mask_number(Decimal(found[0])) or found[0], text)
    parts, done = [], 0
    for start, end in _spans(text):
        if start < done:
            # digits of track data that is masked already
            continue
        number = text[start:end]
        read = "".join(sign for sign, _, _ in without_escapes(number)) or number
        parts += [text[done:start], STARS, ascii_digits(read)[-_LEFT:]]
        done = end
        track = _TRACK_1.match(text, end) or _TRACK_2.match(text, end)
        if track:
            parts += [text[end], STARS]
            done = track.end()
    return "".join([*parts, text[done:]]) if parts else text


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each card number; numbers that overlap are one."""
    start = end = 0
    for here, there in sorted([*_find(text), *_find_hidden(text)]):
        if here < end:
            end = max(end, there)
            continue
        if end:
            yield start, end
        start, end = here, there
    if end:
        yield start, end


def _find_hidden(text: str) -> Iterator[tuple[int, int]]:
    """Yield the places of card numbers that show only without invisible signs, or without escapes."""
    readings: list[Placed] = [without_invisible(text)] if has_invisible(text) else []
    for placed in (*readings, without_escapes(text)):
        for start, end in _find("".join(sign for sign, _, _ in placed)):
            yield placed[start][1], placed[end - 1][2]


def _find(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each card number in a text, from left to right; they may overlap."""
    hidden = [found.span() for found in _HEX.finditer(text)]
    runs = [found.span() for found in _DIGITS.finditer(text) if not _is_within(found.start(), hidden)]
    for at, (first, last) in enumerate(runs):
        if text[first - 2 : first] == "0." and not text[max(first - 3, 0) : first - 2].isdigit():
            # these are the decimals of a number below one
            continue
        if last - first <= LONGEST and is_card_number(ascii_digits(text[first:last])):
            yield first, last
        nearby = runs[at : at + MOST_GROUPS]
        yield from ((first, end) for end in ends_of_groups(text, nearby))


def _is_within(at: int, spans: list[tuple[int, int]]) -> bool:
    place = bisect_right(spans, (at, len(spans) and spans[-1][1])) - 1
    return place >= 0 and spans[place][0] <= at < spans[place][1]
