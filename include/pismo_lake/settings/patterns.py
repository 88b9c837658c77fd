"""Match patterns of payload paths and event types, for policies and contract rules.

Paths are JSON keys joined by ``/``, without list positions. ``*`` matches any part of a key, ``**`` any number of
keys. Keys are compared without case and without signs, so ``document_number`` also matches ``documentNumber``.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache


def fold(key: str) -> str:
    """Return a key for comparison: lower case, only letters and digits of any script and width."""
    plain = key if key.isascii() else unicodedata.normalize("NFKC", key)
    return "".join(letter for letter in plain.casefold() if letter.isalnum()) or "_"


def covers(pattern: str, keys: tuple[str, ...]) -> bool:
    """Return whether a pattern matches a path or a path above it.

    >>> covers("**/name", ("payer", "name")), covers("payer", ("payer", "name")), covers("name", ("payer", "name"))
    (True, True, False)
    """
    return _compile(pattern).fullmatch("".join(f"{fold(key)}/" for key in keys)) is not None


def covers_event(pattern: str, event: str) -> bool:
    """Return whether a pattern matches an event type ``<domain>/<name with version>``."""
    return covers(pattern, tuple(event.split("/")))


@lru_cache(maxsize=1024)
def _compile(pattern: str) -> re.Pattern[str]:
    text = ""
    for part in pattern.strip("/").split("/"):
        if part == "**":
            text += "(?:[^/]+/)*"
        else:
            # a star joins the pieces on its sides
            text += "[^/]*".join(fold(piece) if piece else "" for piece in part.split("*")) + "/"
    return re.compile(f"{text}.*", re.DOTALL)
