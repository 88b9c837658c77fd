"""Decompress an event file."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass

from pismo_lake.errors import FramingError

MAX_PLAIN_BYTES = 128 << 20
"""A compressed event file with more bytes than this is refused (Pismo closes a batch at 10 MB).

The ratio has no limit: sound files of equal events compress well, and memory depends only on the size.
"""

GZIP = b"\x1f\x8b"
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
# deflate makes at most 1,032 bytes of one byte, so a step gives at most 4 MiB
_STEP = 4096
_SMALL_STEP = 256


@dataclass(frozen=True, slots=True)
class Plain:
    """The uncompressed bytes of an event file; `lost` has the bytes that cannot be decompressed."""

    data: bytes
    framing: str
    lost: bytes = b""


def uncompress(raw: bytes, name: str, limit: int = MAX_PLAIN_BYTES) -> Plain:
    """Decompress gzip, known by its magic bytes; keep the readable part of a damaged stream.

    Memory is bounded by `limit`, the largest number of uncompressed bytes.

    Raises:
        FramingError: the file has more bytes, or it has another compression or container. The caller keeps the file.
    """
    if not raw.startswith(GZIP):
        for magic, label in _UNSUPPORTED.items():
            if raw.startswith(magic):
                msg = f"{name} is {label}, which this project cannot read"
                raise FramingError(msg)
        return Plain(raw, "plain")
    # one growing buffer: joining a list of pieces would need twice the memory
    sink = io.BytesIO()
    at = 0
    while raw.startswith(GZIP, at):
        begin = sink.tell()
        end = _member(raw, at, sink, limit, name)
        if end is None:
            # in small steps, so that the bytes before the damage are kept as far as possible
            sink.seek(begin)
            sink.truncate()
            end = _member(raw, at, sink, limit, name, step=_SMALL_STEP)
        if not end:
            return Plain(sink.getvalue(), "gzip", lost=raw[at:])
        at = end
    return Plain(sink.getvalue(), "gzip", lost=raw[at:].strip(b"\0"))


def _member(raw: bytes, start: int, sink: io.BytesIO, limit: int, name: str, step: int = _STEP) -> int | None:
    """Decompress one gzip member into `sink`.

    Return its end, or 0 if the bytes end before the member does, or None if it is damaged.
    """
    stream = zlib.decompressobj(wbits=31)
    # a short step first: a file may consist of many small members
    at, width = start, min(step, _SMALL_STEP)
    while at < len(raw):
        try:
            piece = stream.decompress(raw[at : at + width])
        except zlib.error:
            return None if step > _SMALL_STEP else 0
        if sink.tell() + len(piece) > limit:
            msg = f"{name} uncompresses to more than {limit} bytes"
            raise FramingError(msg)
        sink.write(piece)
        at += width
        if stream.eof:
            return min(at, len(raw)) - len(stream.unused_data)
        width = step
    return 0
