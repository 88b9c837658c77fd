"""Patterns of payload paths and event types, as policies and contract rules use them.

Paths are JSON keys joined by ``/``, list positions left out; ``*`` stands for any part of a key, ``**`` for any number
of keys. Keys are compared without case and without signs, so ``document_number`` is ``documentNumber`` too.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache


def fold(key: str) -> str:
    """Return a key as patterns see it: lower case, letters and digits of any script and width alone."""
    plain = key if key.isascii() else unicodedata.normalize("NFKC", key)
    return "".join(letter for letter in plain.casefold() if letter.isalnum()) or "_"


def covers(pattern: str, keys: tuple[str, ...]) -> bool:
    """Whether a pattern matches a path or something above it.

    >>> covers("**/name", ("payer", "name")), covers("payer", ("payer", "name")), covers("name", ("payer", "name"))
    (True, True, False)
    """
    return _compiled(pattern).fullmatch("".join(f"{fold(key)}/" for key in keys)) is not None


def covers_event(pattern: str, event: str) -> bool:
    """Whether a pattern matches an event type ``<domain>/<name with version>``."""
    return covers(pattern, tuple(event.split("/")))


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    text = ""
    for part in pattern.strip("/").split("/"):
        if part == "**":
            text += "(?:[^/]+/)*"
        else:
            # a star joins what stands on its sides
            text += "[^/]*".join(fold(piece) if piece else "" for piece in part.split("*")) + "/"
    return re.compile(f"{text}.*", re.DOTALL)
