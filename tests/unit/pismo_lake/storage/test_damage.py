"""A damaged file is named, whatever error Arrow finds for its bytes."""

from __future__ import annotations

import io
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.lakes import LakeUnderTest, at, event, key

from pismo_lake.errors import LakeError
from pismo_lake.index import rebuild
from pismo_lake.index.files import read_note
from pismo_lake.storage.errors import sound

if TYPE_CHECKING:
    from collections.abc import Iterator


def damaged(content: bytes) -> Iterator[bytes]:
    """Yield the content with each byte of its footer altered in two ways."""
    footer = int.from_bytes(content[-8:-4], "little") + 8
    for place in range(len(content) - footer, len(content)):
        for mask in (1, 255):
            yield content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :]


def test_each_error_of_a_damaged_footer_names_the_file() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", None], "c": [[1], []]}), sink)
    kinds = set()
    for content in damaged(sink.getvalue()):
        try:
            pq.ParquetFile(io.BytesIO(content))
        except Exception as error:  # noqa: BLE001 - all that Arrow raises
            kinds.add(type(error))
            with pytest.raises(LakeError, match=r"lake/part.parquet is damaged"), sound("lake/part.parquet"):
                pq.ParquetFile(io.BytesIO(content))
    # the first is one that is no ValueError, and the other has no number as errors of a disk have
    assert {pa.ArrowNotImplementedError, OSError} <= kinds


@pytest.mark.parametrize("error", [FileNotFoundError("x"), OSError(5, "x"), MemoryError(), pa.ArrowMemoryError("x")])
def test_an_error_of_the_disk_or_of_memory_is_no_damage(error: Exception) -> None:
    with pytest.raises(type(error)), sound("lake/part.parquet"):
        raise error


def test_the_note_of_a_damaged_index_is_read_or_left_out(lake: LakeUnderTest) -> None:
    lake.land({key(9): event(timestamp=at(9))})
    landing = lake.root / "landing"
    (path,) = landing.rglob("*.parquet")
    (raw,) = (each for each in (landing / "test").rglob("a") if each.is_file())
    for content in islice(damaged(path.read_bytes()), 0, None, 7):
        path.write_bytes(content)
        assert isinstance(read_note(str(path)), dict)
        assert isinstance(rebuild._note(lake.settings, str(raw), str(landing / "test")), dict)
