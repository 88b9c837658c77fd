"""Decompress the blocks of an Avro file, so that its texts can be searched.

The manifests of Iceberg tables are such files. Texts are stored as they are, so the schema is not needed.
"""

from __future__ import annotations

import zlib

from pismo_lake.errors import LakeError

MAGIC = b"Obj\x01"
_SYNC_BYTES = 16
_CODEC = b"avro.codec"


def plain_avro(data: bytes, name: str) -> bytes:
    """Return the header and the decompressed blocks of an Avro file.

    Raises:
        LakeError: the file is damaged, or its codec is not known.
    """
    try:
        place, codec = _read_header(data)
        found = [data[:place]]
        place += _SYNC_BYTES
        while place < len(data):
            _, place = _read_long(data, place)
            size, place = _read_long(data, place)
            found.append(_decompress(codec, data[place : place + size], name))
            place += size + _SYNC_BYTES
    except (IndexError, zlib.error) as error:
        msg = f"{name} is a damaged Avro file"
        raise LakeError(msg) from error
    return b"\n".join(found)


def _decompress(codec: bytes, block: bytes, name: str) -> bytes:
    if codec == b"null":
        return block
    if codec == b"deflate":
        return zlib.decompress(block, -zlib.MAX_WBITS)
    msg = f"{name} is an Avro file with the codec {codec.decode(errors='replace')}, which cannot be searched"
    raise LakeError(msg)


def _read_header(data: bytes) -> tuple[int, bytes]:
    """Return the place of the sync marker, and the codec."""
    place, codec = len(MAGIC), b"null"
    while True:
        entries, place = _read_long(data, place)
        if entries == 0:
            return place, codec
        if entries < 0:
            # the size of the block in bytes follows
            _, place = _read_long(data, place)
        for _ in range(abs(entries)):
            key, place = _read_bytes(data, place)
            value, place = _read_bytes(data, place)
            if key == _CODEC:
                codec = value


def _read_bytes(data: bytes, place: int) -> tuple[bytes, int]:
    size, place = _read_long(data, place)
    return data[place : place + size], place + size


def _read_long(data: bytes, place: int) -> tuple[int, int]:
    """Return a number in Avro's zigzag form, and the place after it."""
    shift = value = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), place
        shift += 7
