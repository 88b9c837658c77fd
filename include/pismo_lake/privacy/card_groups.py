"""Find card numbers in the groups of digits that networks and terminals print.

Blanks, dashes, dots and slashes may be between the groups, in any mixture. Other signs (``,`` ``|`` ``;`` ``+``) are
more often between the numbers of a list. So these must be the same between all groups, the groups must be three or
more, and the number may not be a piece of a longer list of numbers of four digits.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pismo_lake.privacy.card_networks import SHORTEST, ascii_digits, is_card_number
from pismo_lake.privacy.escapes import INVISIBLE_SIGNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_GROUPS = frozenset({
    (4, 4, 4, 4), (4, 4, 4, 4, 1), (4, 4, 4, 4, 2), (4, 4, 4, 4, 3), (4, 4, 4), (4, 4, 4, 1), (4, 4, 4, 2),
    (4, 4, 4, 3), (4, 4, 4, 5), (4, 4, 4, 6), (4, 4, 4, 7), (4, 4, 5), (4, 3, 3, 3), (4, 5, 6), (4, 6, 4), (4, 6, 5),
    (4, 6, 6), (6, 6, 4), (4, 4, 8), (4, 8, 4), (8, 4, 4), (4, 12), (6, 8), (6, 9), (6, 10), (6, 13), (8, 8), (8, 11),
})  # fmt: skip
"""The lengths of the groups in which networks and terminals print the digits."""

_GROUP_STARTS = frozenset(groups[:count] for groups in _GROUPS for count in range(1, len(groups) + 1))
MOST_GROUPS = max(map(len, _GROUPS))
"""The most groups of one card number."""

# Visa numbers of 13 digits are no longer issued, and lists often have numbers of such lengths
_LIST_GROUPS = frozenset(groups for groups in _GROUPS if len(groups) > 2 and sum(groups) > SHORTEST)
"""The lengths of the groups that are searched between the signs of lists."""

# blanks, dashes, dots, slashes, and invisible signs
_BETWEEN = re.compile(
    rf"[\s\-._/{INVISIBLE_SIGNS}\xb7\u058a\u05be\u1400\u1806\u2010-\u2015\u2022\u2024\u2027-\u202f\u2043\u2044\u2212\u2215"
    r"\u2219\u22c5\u2800\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u2e5d\u3002\u301c\u3030\u30a0\u30fb\ufe31\ufe32\ufe58\ufe63\uff0d\uff0e\uff0f"
    r"\uff65\U00010ead]{1,4}"
)
_BETWEEN_LISTED = re.compile(r"\W{1,4}")
# a number of four digits, or a group of an IPv6 address, before and after the signs of a list
_LISTED_BEFORE = re.compile(r"(?<!\w)(?=[a-f]{0,3}\d)[\da-f]{4}(\W{1,4})\Z", re.IGNORECASE)
_LISTED_AFTER = re.compile(r"(\W{1,4})(?=[a-f]{0,3}\d)([\da-f]{4})(?!\w)", re.IGNORECASE)
# month and year of a card's end, or a year
_EXPIRY = re.compile(r"(?:0[1-9]|1[0-2])[2-4]\d|[2-4]\d(?:0[1-9]|1[0-2])|20[2-4]\d", re.ASCII)


def ends_of_groups(text: str, runs: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Yield the ends of the card numbers that begin with the first run of digits, and have several groups."""
    first, before = runs[0]
    groups: tuple[int, ...] = (before - first,)
    digits = ascii_digits(text[first:before])
    if groups not in _GROUP_STARTS:
        return
    sign: str | None = None
    for start, end in runs[1:]:
        groups = (*groups, end - start)
        between = text[before:start]
        listed = "" if _BETWEEN.fullmatch(between) else _sign_of_list(between)
        if groups not in _GROUP_STARTS or listed is None or (sign is not None and listed != sign):
            return
        sign, digits, before = listed, digits + ascii_digits(text[start:end]), end
        if groups in (_LIST_GROUPS if sign else _GROUPS) and is_card_number(digits):
            if sign and _is_in_list(text, first, end, sign):
                return
            yield end


def _sign_of_list(between: str) -> str | None:
    """Return the signs between two numbers of a list without blanks, or None for other text."""
    return "".join(between.split()) if _BETWEEN_LISTED.fullmatch(between) else None


def _is_in_list(text: str, start: int, end: int, sign: str) -> bool:
    """Return whether other numbers of four digits are before or after, as in a list; the card's end is none."""
    if sign == ":" and "::" in {text[max(start - 2, 0) : start], text[end : end + 2]}:
        # an IPv6 address
        return True
    before = _LISTED_BEFORE.search(text, max(start - 8, 0), start)
    if before and sign in before[1]:
        return True
    after = _LISTED_AFTER.match(text, end)
    return after is not None and sign in after[1] and not _EXPIRY.fullmatch(after[2])
