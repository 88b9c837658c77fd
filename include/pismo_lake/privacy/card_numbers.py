"""Find card numbers in text and in JSON numbers: by prefix, length, Luhn check and groups.

A number is a card number if a network issues numbers with its first digits and length, and it passes the Luhn check.
In text its digits are in one run, or in the groups that a network prints on its cards. Other digits beside it, or
invisible signs in it, do not hide it. The search reads a text once: its time depends only on the length of the text.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

STARS = "****"
"""Replaces the removed digits of a card number."""

_LEFT = 4
_SHORTEST, _LONGEST = 13, 19
LEAST_NUMBER = 10 ** (_SHORTEST - 1)
"""The smallest number with as many digits as a card number."""

_16_TO_19 = frozenset(range(16, 20))
# RRN and NSU have 12 digits, so Maestro numbers of 12 digits are not searched
_MAESTRO = frozenset(range(13, 20))
# Sources: ISO/IEC 7812-1, the networks' BIN rules, the table "Payment card number" of Wikipedia (July 2024).
# First and last prefix, lengths. Entries may overlap.
_NETWORKS = (
    ("1800", "1800", {15}),  # JCB, old
    ("2131", "2131", {15}),  # JCB, old
    ("2200", "2205", _16_TO_19),  # Mir, Borica
    ("2221", "2720", {16}),  # Mastercard
    ("2869", "2869", {16}),  # Carnet
    ("300", "305", {14, 16, 17, 18, 19}),  # Diners Club
    ("3095", "3095", {14, 16, 17, 18, 19}),  # Diners Club
    ("34", "34", {15}),  # American Express
    ("3528", "3589", _16_TO_19),  # JCB
    ("36", "36", {14, 16, 17, 18, 19}),  # Diners Club
    ("37", "37", {15}),  # American Express
    ("38", "39", {13, 14, 16, 17, 18, 19}),  # Diners Club; Hipercard (3841)
    ("4", "4", {13, 16, 19}),  # Visa, Elo
    ("5018", "5018", _MAESTRO),
    ("5020", "5020", _MAESTRO),
    ("5038", "5038", _MAESTRO),
    ("50", "50", _16_TO_19),  # Maestro, Elo, Aura, Verve, RuPay, Carnet, Dankort
    ("51", "55", {16}),  # Mastercard
    ("5893", "5893", _MAESTRO),
    ("56", "58", _16_TO_19),  # Maestro, Cabal, Naranja
    ("6304", "6304", _MAESTRO),
    ("6759", "6759", _MAESTRO),
    ("6761", "6763", _MAESTRO),
    ("60", "60", _16_TO_19),  # Discover, Hipercard, RuPay, Cabal, Maestro
    ("62", "63", _16_TO_19),  # UnionPay, Elo, Hipercard, InterPayment, Maestro
    ("644", "649", _16_TO_19),  # Discover
    ("65", "65", _16_TO_19),  # Discover, Elo, RuPay, Troy, Verve
    ("67", "67", _16_TO_19),  # Maestro
    ("8100", "8203", _16_TO_19),  # UnionPay, RuPay
    ("8600", "8600", {16}),  # Uzcard
    ("9704", "9704", {16, 19}),  # NAPAS
    ("9792", "9792", {16}),  # Troy
    ("9860", "9860", {16}),  # Humo
)

_GROUPS = frozenset({
    (4, 4, 4, 4), (4, 4, 4, 4, 1), (4, 4, 4, 4, 2), (4, 4, 4, 4, 3), (4, 4, 4), (4, 4, 4, 1), (4, 4, 4, 2),
    (4, 4, 4, 3), (4, 4, 4, 5), (4, 4, 4, 6), (4, 4, 4, 7), (4, 4, 5), (4, 3, 3, 3), (4, 5, 6), (4, 6, 4), (4, 6, 5),
    (4, 6, 6), (6, 6, 4), (4, 4, 8), (4, 8, 4), (8, 4, 4), (4, 12), (6, 8), (6, 9), (6, 10), (6, 13), (8, 8), (8, 11),
})  # fmt: skip
"""The lengths of the groups in which networks and terminals print the digits."""

_GROUP_STARTS = frozenset(groups[:count] for groups in _GROUPS for count in range(1, len(groups) + 1))
_MOST_GROUPS = max(map(len, _GROUPS))

_DIGITS = re.compile(r"\d+")
_INVISIBLE_SIGNS = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_INVISIBLE = re.compile(f"[{_INVISIBLE_SIGNS}]")
# blanks, dashes, dots, slashes, and invisible signs
_BETWEEN = re.compile(
    rf"[\s\-._/{_INVISIBLE_SIGNS}\xb7\u058a\u05be\u1400\u1806\u2010-\u2015\u2022\u2024\u2027-\u202f\u2043\u2044\u2212\u2215"
    r"\u2219\u22c5\u2800\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u2e5d\u3002\u301c\u3030\u30a0\u30fb\ufe31\ufe32\ufe58\ufe63\uff0d\uff0e\uff0f"
    r"\uff65\U00010ead]{1,4}"
)
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
    rf"|\p{{Nd}}[^\p{{L}}\p{{N}}]{{0,8}}[{_INVISIBLE_SIGNS}]|[0-9]\.[0-9]{{1,18}}[eE]\+?1[2-8]"
)
"""A pattern (RE2) that matches every text with a card number, and few other texts."""


def is_card_number(digits: str) -> bool:
    """Return whether a network issues such numbers, and the ASCII digits pass the Luhn check."""
    return _SHORTEST <= len(digits) <= _LONGEST and _is_issued(digits) and _passes_luhn(digits)


def mask_number(value: Any) -> str | None:
    """Return the masked text of a JSON number that is a card number, otherwise None."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    if isinstance(value, Decimal):
        # a number with more digits before the point is no card number, and may be very long
        if not value.is_finite() or not _SHORTEST <= value.adjusted() + 1 <= _LONGEST or value % 1:
            return None
        value = int(value)
    value = abs(value)
    if not LEAST_NUMBER <= value < 10**_LONGEST or not is_card_number(str(value)):
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
        parts += [text[done:start], STARS, _ascii(text[start:end])[-_LEFT:]]
        done = end
        track = _TRACK_1.match(text, end) or _TRACK_2.match(text, end)
        if track:
            parts += [text[end], STARS]
            done = track.end()
    return "".join([*parts, text[done:]]) if parts else text


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each card number; numbers that overlap are one."""
    start = end = 0
    for here, there in sorted([*_find(text), *_find_without_invisible(text)]):
        if here < end:
            end = max(end, there)
            continue
        if end:
            yield start, end
        start, end = here, there
    if end:
        yield start, end


def _find_without_invisible(text: str) -> Iterator[tuple[int, int]]:
    """Yield the places of card numbers that show only without the invisible signs between digits."""
    if text.isascii() or not _INVISIBLE.search(text):
        return
    seen = [at for at, sign in enumerate(text) if not _INVISIBLE.match(sign)]
    for start, end in _find("".join(text[at] for at in seen)):
        yield seen[start], seen[end - 1] + 1


def _find(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each card number in a text, from left to right; they may overlap."""
    hidden = [found.span() for found in _HEX.finditer(text)]
    runs = [found.span() for found in _DIGITS.finditer(text) if not _is_within(found.start(), hidden)]
    for at, (first, last) in enumerate(runs):
        if text[first - 2 : first] == "0." and not text[max(first - 3, 0) : first - 2].isdigit():
            # these are the decimals of a number below one
            continue
        groups: tuple[int, ...] = ()
        digits, before = "", last
        for start, end in runs[at : at + _MOST_GROUPS]:
            groups = (*groups, end - start)
            if end - start > _LONGEST:
                break
            if len(groups) > 1 and (groups not in _GROUP_STARTS or not _BETWEEN.fullmatch(text, before, start)):
                break
            digits, before = digits + _ascii(text[start:end]), end
            if (len(groups) == 1 or groups in _GROUPS) and is_card_number(digits):
                yield first, end


def _is_within(at: int, spans: list[tuple[int, int]]) -> bool:
    place = bisect_right(spans, (at, len(spans) and spans[-1][1])) - 1
    return place >= 0 and spans[place][0] <= at < spans[place][1]


def _ascii(text: str) -> str:
    """Return the decimal digits of a text, of any script, as ASCII digits."""
    if text.isascii():
        return text if text.isdigit() else "".join(sign for sign in text if sign.isdigit())
    return "".join(str(unicodedata.decimal(sign)) for sign in text if sign.isdecimal())


def _is_issued(digits: str) -> bool:
    return any(low <= digits[: len(low)] <= high and len(digits) in lengths for low, high, lengths in _NETWORKS)


def _passes_luhn(digits: str) -> bool:
    numbers = [ord(digit) - 48 for digit in digits]
    doubled = sum(number * 2 - 9 * (number > 4) for number in numbers[-2::-2])
    return (doubled + sum(numbers[-1::-2])) % 10 == 0
