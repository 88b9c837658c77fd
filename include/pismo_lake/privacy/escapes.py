r"""Read a text without its escapes and invisible signs, and keep the place of each sign.

Escapes are those of URLs (``%20``, also encoded again: ``%2520``), of HTML (``&nbsp;``, ``&#32;``) and of strings
(``\u00a0``, ``\n``). A search in the text that is left finds what the escapes hide.
"""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import unquote

INVISIBLE_SIGNS = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""The signs that show nothing, as a set in a pattern."""

ESCAPE_SUSPECT = (
    r"[0-9](?:%[0-9A-Fa-f]{2}|&[#0-9A-Za-z]{2,8};|\\{1,8}(?:u[0-9A-Fa-f]{4}|[nrt]))"
    r"|(?:%[0-9A-Fa-f]{2}|&#[0-9A-Za-z]{2,8};|\\u[0-9A-Fa-f]{4})[0-9%&\\]"
)
"""A pattern (RE2) that matches every text with an escape beside a digit or beside another escape."""

_INVISIBLE = re.compile(f"[{INVISIBLE_SIGNS}]")
_ESCAPE = re.compile(
    # a sign that is no ASCII sign is encoded in several bytes
    r"(?:%(?:25){0,8}[89A-Fa-f][0-9A-Fa-f]){2,4}|%(?:25){0,8}[0-7][0-9A-Fa-f]"
    r"|&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|nbsp|ensp|emsp|thinsp|shy|ndash|mdash);"
    r"|\\{1,8}(?:u[0-9A-Fa-f]{4}|[nrt])",
    re.ASCII,
)
_TWICE = re.compile(r"%(?:25)+(?=[0-9A-Fa-f]{2})")

Placed = list[tuple[str, int, int]]


def without_invisible(text: str) -> Placed:
    """Return the signs of a text that are not invisible, each with its start and end."""
    return [(sign, at, at + 1) for at, sign in enumerate(text) if not _INVISIBLE.match(sign)]


def has_invisible(text: str) -> bool:
    """Return whether a text has invisible signs."""
    return not text.isascii() and _INVISIBLE.search(text) is not None


def without_escapes(text: str) -> Placed:
    """Return the signs of a text for its escapes, and its other visible signs; nothing without escapes."""
    placed: Placed = []
    done = 0
    for escape in _ESCAPE.finditer(text):
        placed += [(sign, at, at + 1) for at, sign in enumerate(text[done : escape.start()], done)]
        placed += [(sign, *escape.span()) for sign in _sign(escape[0])]
        done = escape.end()
    if not done:
        return []
    placed += [(sign, at, at + 1) for at, sign in enumerate(text[done:], done)]
    return [each for each in placed if not _INVISIBLE.match(each[0])]


def _sign(escape: str) -> str:
    if escape.startswith("%"):
        return unquote(_TWICE.sub("%", escape), errors="replace")
    if escape.startswith("&"):
        return unescape(escape)
    code = escape.lstrip("\\")
    return chr(int(code[1:], 16)) if code.startswith("u") else " "
