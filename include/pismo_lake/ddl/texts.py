"""Make texts from outside safe to show: descriptions of schemas, and the keys of events."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pismo_lake.contracts.names import pointer

if TYPE_CHECKING:
    from collections.abc import Iterable

_MORE = "…"
# Spark and Hive replace ${name} in a statement; dbt reads {{, {% and {# in a description
_TEMPLATE = re.compile(r"(?<=\$)(?=\{)|(?<=\{)(?=[{%#])")


def escape_signs(text: str) -> str:
    r"""Return a text with its control characters, and halves of characters, escaped.

    >>> escape_signs("a\nb")
    'a\\nb'
    """
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def one_line(text: str) -> str:
    """Return a text as one line, with single blanks, without control characters and without templates."""
    return _part_templates(escape_signs(" ".join(text.split())))


def json_pointer(keys: Iterable[str]) -> str:
    """Return the JSON pointer of keys, as `one_line` would; positions in lists are left out."""
    return _part_templates(escape_signs("".join(f"/{pointer(key)}" for key in keys)))


def _part_templates(text: str) -> str:
    """Return a text in which no program finds a template: a blank parts the signs that begin one."""
    return _TEMPLATE.sub(" ", text)


def shorten(text: str, most: int) -> str:
    """Return at most so many bytes of a text, without half a character at the end."""
    raw, room = text.encode(), most - len(_MORE.encode())
    if len(raw) <= most:
        return text
    return raw[:room].decode(errors="ignore").rstrip() + _MORE if room >= 0 else ""
