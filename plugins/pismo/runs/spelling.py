"""Find the one key of an object with two spellings: percent-encoded and decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from pismo_lake.paths import can_be_kept

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pismo.connect.source import EventSource
    from pismo_lake.ledger import FileLedger


def find_spelling(source: EventSource, key: str, other: str | None) -> str:
    """Return the spelling that the source knows; `key` if it knows neither."""
    if other is None or source.has(key) or not source.has(other):
        return key
    return other


def find_named_spelling(source: EventSource, key: str) -> str:
    """Return the key of an object that a person named, perhaps as it is written in a URL."""
    return find_spelling(source, key, _decode(key))


def find_landed_spellings(files: FileLedger, keys: Iterable[str]) -> list[str]:
    """Return the ledger's spelling of keys from a person; an unknown key stays unchanged."""
    decoded = {key: _decode(key) for key in keys}
    known = files.find_known({*decoded, *(other for other in decoded.values() if other is not None)})
    return [key if other is None or key in known or other not in known else other for key, other in decoded.items()]


def _decode(key: str) -> str | None:
    """Return a key without its percent-encoding; None if that does not change it."""
    decoded = unquote(key)
    return decoded if decoded != key and can_be_kept(decoded) else None
