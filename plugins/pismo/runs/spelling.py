"""Find the one key of an object that is named in two spellings: percent-encoded, and as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from pismo_lake.paths import can_be_kept

if TYPE_CHECKING:
    from pismo.connect.source import EventSource


def settled_key(source: EventSource, key: str, other: str | None) -> str:
    """Return the spelling under which the source has the object; `key` if it has it under neither."""
    if other is None or source.has(key) or not source.has(other):
        return key
    return other


def settled_by_hand(source: EventSource, key: str) -> str:
    """Return the key of an object that a person named, perhaps as it is written in a URL."""
    decoded = unquote(key)
    return settled_key(source, key, decoded if decoded != key and can_be_kept(decoded) else None)
