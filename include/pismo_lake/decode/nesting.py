"""Limit the levels of nested JSON, so that every version of Python gives the same result.

The `json` module recurses. How deep it can read depends on the version (some 1,000 levels in 3.11, 1,500 in 3.12 and
10,000 in 3.13) and on the stack of the caller. The limit here is below all of them, with room for the caller.
"""

from __future__ import annotations

import re

DEEPEST = 500
"""JSON with more levels is refused, even if this version of Python can read it."""

_SIGNS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[{}\[\]]', re.DOTALL)


def is_too_deep(text: str) -> bool:
    """Return whether the JSON at the beginning of a text, which may be cut off, is too deep."""
    if text.count("{") + text.count("[") <= DEEPEST:
        return False
    # readers of notices almost never come here, and need no NumPy
    import numpy as np

    from pismo_lake.decode.scan import find_depth

    return find_depth(np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)) > DEEPEST


def doomed_places(text: str) -> set[int]:
    """Return the places of brackets that have too many levels before they are closed."""
    doomed: set[int] = set()
    opened: list[int] = []
    for sign in _SIGNS.finditer(text):
        if sign[0] in "{[":
            opened.append(sign.start())
            if len(opened) > DEEPEST:
                doomed.add(opened[-DEEPEST - 1])
        elif sign[0] in "}]" and opened:
            opened.pop()
    return doomed
