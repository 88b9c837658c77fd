"""Identify an event: the key that finds its copies, and the hash that shows if they differ."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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
    return hashlib.blake2b(raw, digest_size=8).digest()


KEY_COLUMNS = ["reason", "dedupe_key", "content_hash"]


def usable_keys(table: pa.Table) -> tuple[NDArray[np.bytes_], NDArray[np.bytes_]]:
    """Return the dedupe keys and content hashes of the usable events, as fixed-width bytes."""
    usable = table.filter(pc.is_null(table.column("reason")))
    keys = usable.column("dedupe_key").combine_chunks()
    hashes = usable.column("content_hash").combine_chunks()
    return _to_fixed_width(keys, 16), _to_fixed_width(hashes, 8)


def _to_fixed_width(array: pa.FixedSizeBinaryArray, width: int) -> NDArray[np.bytes_]:
    if not len(array):
        return np.zeros(0, dtype=f"S{width}")
    raw = np.frombuffer(array.buffers()[1], dtype=f"S{width}")
    return raw[array.offset : array.offset + len(array)]
