"""The compressed metadata of tables is searched, too."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest
from tests.catalog_reader import open_table
from tests.lakes import LakeUnderTest, at, event, key

from pismo_lake.errors import LakeError
from pismo_lake.events.avro import plain_avro
from pismo_lake.events.find_rows import find_copies
from pismo_lake.events.traces import find_traces
from pismo_lake.settings.tables import Tables

if TYPE_CHECKING:
    from pathlib import Path

SYNC = bytes(range(16))


def long(value: int) -> bytes:
    value, out = value << 1, bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def text(value: bytes) -> bytes:
    return long(len(value)) + value


def avro(codec: bytes, block: bytes) -> bytes:
    header = b"Obj\x01" + long(1) + text(b"avro.codec") + text(codec) + long(0) + SYNC
    return header + long(1) + text(block) + SYNC


def test_blocks_are_decompressed() -> None:
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(b"Maria " * 500) + packer.flush()
    assert b"Maria Maria" in plain_avro(avro(b"deflate", packed), "x")
    assert b"Maria" in plain_avro(avro(b"null", b"Maria"), "x")


@pytest.mark.parametrize("data", [avro(b"deflate", b"no deflate"), b"Obj\x01\x02"])
def test_a_damaged_file_is_named(data: bytes) -> None:
    with pytest.raises(LakeError, match="x is a damaged Avro file"):
        plain_avro(data, "x")


def test_an_unknown_codec_is_named() -> None:
    with pytest.raises(LakeError, match="codec snappy"):
        plain_avro(avro(b"snappy", b""), "x")


def test_a_value_in_a_manifest_is_a_trace(tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path, tables=Tables())
    lake.land({key(3): event("e-1", {"name": "Maria da Silva"}, timestamp=at(3))})
    lake.build()

    def traces() -> list[str]:
        conditions = [("data__name", "Maria da Silva")]
        found = find_copies(lake.settings, lake.ledger, ["e-1"])
        every = find_traces(lake.settings, lake.ledger, [lake.settings.landing], conditions, found, raw=False).found
        return [trace.place for trace in every if "_iceberg" in trace.place]

    assert traces() == []
    # a writer with bounds of all columns, which the lake's own tables never have
    with open_table(lake) as table:
        with table.transaction() as transaction:
            transaction.set_properties({"write.metadata.metrics.default": "full"})
        rows = table.scan().to_arrow()
        table.append(rows)
    assert {place.rsplit(".", 1)[-1] for place in traces()} == {"avro", "parquet"}
