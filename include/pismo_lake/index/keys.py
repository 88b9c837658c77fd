"""Identify an event: the key that finds its copies, and the hash that shows if they differ.

The hash of an event's bytes is XXH3 with 64 bits. Indexes of earlier versions have a BLAKE2b hash with 64 bits instead,
in another column. XXH3 is no cryptographic hash: it only tells copies apart. SHA-256 protects the files.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

if TYPE_CHECKING:
    from numpy.typing import NDArray


def organisation_key(org_id: str | None) -> str:
    """Return an organisation's id in lower case, because Pismo writes it in both cases."""
    return (org_id or "").lower()


def dedupe_key(org_id: str | None, event_id: str) -> bytes:
    """Return the identity of an event: 128 bits of its organisation and its id."""
    return hashlib.blake2b(f"{organisation_key(org_id)}\0{event_id}".encode(), digest_size=16).digest()


def dedupe_keys(org_ids: pa.StringArray, event_ids: pa.StringArray) -> bytes:
    """Return the `dedupe_key` of many events, joined."""
    coded = org_ids.fill_null("").dictionary_encode()
    # few organisations: convert each to lower case once, by Python's rules
    lower = pa.array([organisation_key(org_id) for org_id in coded.dictionary.to_pylist()], pa.string())
    named = pc.binary_join_element_wise(lower.take(coded.indices), event_ids, "\0").cast(pa.binary())
    digest = hashlib.blake2b
    return b"".join([digest(name, digest_size=16).digest() for name in named.to_pylist()])


def content_hash(raw: bytes) -> bytes:
    """Return 64 bits of an event's bytes, which show if two copies differ."""
    return xxhash.xxh3_64_digest(raw)


def earlier_hash(raw: bytes) -> bytes:
    """Return the `content_hash` of earlier versions."""
    return hashlib.blake2b(raw, digest_size=8).digest()


def is_content(raw: bytes, earlier: bytes | None, xxh3: bytes | None) -> bool:
    """Return whether an event has these bytes, by the hash that its index has."""
    return earlier_hash(raw) == earlier if xxh3 is None else content_hash(raw) == xxh3


KEY_COLUMNS = ["reason", "dedupe_key", "content_hash", "content_xxh3"]


class UsableKeys(NamedTuple):
    """The dedupe keys and content hashes of usable events, and which hashes are of earlier versions."""

    keys: NDArray[np.bytes_]
    hashes: NDArray[np.bytes_]
    earlier: NDArray[np.bool_]

    def at(self, rows: NDArray[np.int64]) -> UsableKeys:
        """Return those of some events."""
        return UsableKeys(self.keys[rows], self.hashes[rows], self.earlier[rows])


def usable_keys(table: pa.Table) -> UsableKeys:
    """Return the keys of the usable events, as fixed-width bytes."""
    usable = table.filter(pc.is_null(table.column("reason")))
    keys = usable.column("dedupe_key").combine_chunks()
    hashes = usable.column("content_xxh3").combine_chunks()
    earlier = hashes.is_null()
    if hashes.null_count:
        hashes = pc.coalesce(hashes, usable.column("content_hash").combine_chunks())
    return UsableKeys(_to_fixed_width(keys, 16), _to_fixed_width(hashes, 8), earlier.to_numpy(zero_copy_only=False))


def _to_fixed_width(array: pa.FixedSizeBinaryArray, width: int) -> NDArray[np.bytes_]:
    if not len(array):
        return np.zeros(0, dtype=f"S{width}")
    raw = np.frombuffer(array.buffers()[1], dtype=f"S{width}")
    return raw[array.offset : array.offset + len(array)]
