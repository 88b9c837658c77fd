"""Undo the compression of an event file."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from pismo_lake.errors import FramingError

MAX_PLAIN_BYTES = 1 << 30
"""An uncompressed event file larger than this is refused (Pismo closes a batch at 10 MB)."""


_UNSUPPORTED = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x04\x22\x4d\x18": "lz4",
    b"PAR1": "Parquet",
    b"Obj\x01": "Avro",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


@dataclass(frozen=True, slots=True)
class Plain:
    """Uncompressed bytes of an event file; `lost` holds what could not be decompressed, and is not empty then."""

    data: bytes
    framing: str
    lost: bytes = b""


def uncompress(raw: bytes, name: str) -> Plain:
    """Undo gzip where the magic bytes show it; keep the readable part of a damaged stream.

    Raises `FramingError` for any other compression or container: the caller keeps the file.
    """
    if not raw.startswith(b"\x1f\x8b"):
        for magic, label in _UNSUPPORTED.items():
            if raw.startswith(magic):
                msg = f"{name} is {label}, which is not an event file this project reads"
                raise FramingError(msg)
        return Plain(raw, "plain")
    pieces: list[bytes] = []
    rest, size = raw, 0
    while rest.startswith(b"\x1f\x8b"):
        member = zlib.decompressobj(wbits=31)
        try:
            piece = member.decompress(rest, MAX_PLAIN_BYTES - size + 1)
        except zlib.error:
            piece = _readable_part(rest)
        pieces.append(piece)
        size += len(piece)
        if size > MAX_PLAIN_BYTES:
            msg = f"{name} uncompresses to more than {MAX_PLAIN_BYTES} bytes"
            raise FramingError(msg)
        if not member.eof:
            return Plain(b"".join(pieces), "gzip", lost=rest)
        rest = member.unused_data
    return Plain(b"".join(pieces), "gzip", lost=rest.strip(b"\0"))


def _readable_part(member: bytes) -> bytes:
    """What a damaged gzip member gives before the damage, in small steps so that little is missed."""
    stream = zlib.decompressobj(wbits=31)
    pieces: list[bytes] = []
    for start in range(0, len(member), 256):
        try:
            pieces.append(stream.decompress(member[start : start + 256]))
        except zlib.error:
            break
    return b"".join(pieces)
