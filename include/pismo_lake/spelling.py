"""Answer a name that does not exist with the names that do, the closest first; make names that engines take.

Also make text from elsewhere harmless to print.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN = 12


def identifier(text: str) -> str:
    """Return lower-case letters, digits and underscores only: no engine needs quotes for them."""
    plain = re.sub(r"[^a-z0-9_]+", "_", text.lower())
    return f"_{plain}" if plain[:1].isdigit() or not plain else plain


def rank_names(name: str, names: Iterable[str]) -> list[str]:
    """Return the names, those that are most like `name` first; equally good ones in their order.

    >>> rank_names("fltten", ["files", "flatten", "close"])
    ['flatten', 'files', 'close']
    """
    wanted = name.lower()
    return sorted(dict.fromkeys(names), key=lambda known: -SequenceMatcher(None, wanted, known.lower()).ratio())


def list_in_words(name: str, names: Iterable[str]) -> str:
    """Return the names in words, the closest to `name` first; beyond twelve only their number.

    >>> list_in_words("b", ["a", "b"])
    'b, a'
    """
    found = rank_names(name, names)
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more


def printable(text: str) -> str:
    r"""Return a text with its control characters, and halves of characters, escaped.

    >>> printable("a\nb")
    'a\\nb'
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
