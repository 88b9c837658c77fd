"""Hold the ids of many events in little memory: 16 bytes for each, whatever its length."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa
    from numpy.typing import NDArray

_WIDTH = 16
_AT_ONCE = 100_000


class IdSet:
    """A set of event ids, as sorted hashes of 128 bits; `count` is their number."""

    def __init__(self, ids: Iterable[str]) -> None:
        pieces: list[NDArray[np.bytes_]] = []
        piece = bytearray()
        for event_id in ids:
            piece += _hash(event_id)
            if len(piece) >= _AT_ONCE * _WIDTH:
                pieces.append(_distinct(bytes(piece)))
                piece.clear()
        pieces.append(_distinct(bytes(piece)))
        self._hashes: NDArray[np.bytes_] = np.unique(np.concatenate(pieces))

    @property
    def count(self) -> int:
        """Return the number of ids."""
        return len(self._hashes)

    def contains(self, event_ids: pa.ChunkedArray | pa.Array) -> NDArray[np.bool_]:
        """Return for each id of a column whether it is in the set."""
        wanted = _hashes(b"".join([_hash(event_id or "") for event_id in event_ids.to_pylist()]))
        if not len(self._hashes):
            return np.zeros(len(wanted), dtype=bool)
        at = np.searchsorted(self._hashes, wanted).clip(max=len(self._hashes) - 1)
        found: NDArray[np.bool_] = self._hashes[at] == wanted
        return found


def _hash(event_id: str) -> bytes:
    return hashlib.blake2b(event_id.encode("utf-8", "surrogatepass"), digest_size=_WIDTH).digest()


def _hashes(joined: bytes) -> NDArray[np.bytes_]:
    return np.frombuffer(joined, dtype=f"S{_WIDTH}")


def _distinct(joined: bytes) -> NDArray[np.bytes_]:
    return np.unique(_hashes(joined))
