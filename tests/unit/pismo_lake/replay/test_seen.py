"""Files with the ids of events: each form that a consumer may write, and damage that is refused by name."""

from __future__ import annotations

import gzip
from contextlib import suppress
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pismo_lake.errors import SeenFileError
from pismo_lake.replay.ids import IdSet
from pismo_lake.replay.seen import read_ids

if TYPE_CHECKING:
    from pathlib import Path

ODD = ["e-1", "ä/ö ü", 'with "quotes"', "a,b", "a;b", "x\ty", "'", "%00", "💶", "-", "event id"]


def write(path: Path, data: bytes | str) -> str:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(path)


def write_parquet(path: Path, table: pa.Table) -> str:
    pq.write_table(table, path, row_group_size=3)
    return str(path)


def test_each_line_of_a_text_file_is_an_id(tmp_path: Path) -> None:
    assert list(read_ids(write(tmp_path / "seen.txt", "\n".join(ODD)))) == ODD


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_blank_lines_a_mark_and_spaces_are_no_part_of_an_id(tmp_path: Path, end: str) -> None:
    found = IdSet(read_ids(write(tmp_path / "seen", "\ufeff" + end.join(["e-1", "", "e-2  ", "", "e-3"]))))
    assert found.contains(pa.array(["e-1", "e-2", "e-3", "", "e-4"])).tolist() == [True, True, True, False, False]


def test_an_empty_file_has_no_ids(tmp_path: Path) -> None:
    for name in ("seen.txt", "seen.csv"):
        assert list(read_ids(write(tmp_path / name, b""))) == []
    assert (
        list(read_ids(write_parquet(tmp_path / "seen.parquet", pa.table({"event_id": pa.array([], pa.string())}))))
        == []
    )
    assert not IdSet([]).contains(pa.array(["e-1"])).any()


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_a_header_names_the_column_of_a_csv_file(tmp_path: Path, sign: str) -> None:
    text = f'at{sign} Event_ID {sign}id\n1{sign}e-1{sign}x\n2{sign}"a{sign}b"{sign}y\n3{sign}e-2{sign}\n'
    for name in ("seen.csv", "seen.txt"):
        assert list(read_ids(write(tmp_path / name, text))) == ["e-1", f"a{sign}b", "e-2"]


def test_a_csv_file_without_a_header_has_the_ids_first(tmp_path: Path) -> None:
    assert list(read_ids(write(tmp_path / "seen.csv", 'e-1,2026-03-01\n"a,b",2026-03-02\n'))) == ["e-1", "a,b"]
    assert list(read_ids(write(tmp_path / "other.csv", "e-1;2026-03-01\ne-2;2026-03-02\n"))) == ["e-1", "e-2"]
    assert list(read_ids(write(tmp_path / "one.csv", "e-1\ne-2"))) == ["e-1", "e-2"]


def test_a_column_alone_may_have_a_header(tmp_path: Path) -> None:
    for name in ("seen.csv", "seen.txt"):
        assert list(read_ids(write(tmp_path / name, "event_id\ne-1\n"))) == ["e-1"]


def test_a_short_row_has_no_id(tmp_path: Path) -> None:
    assert list(read_ids(write(tmp_path / "seen.csv", "at,event_id\n1\n2,e-2\n\n3,\n"))) == ["e-2"]


def test_parquet_with_several_columns_kinds_of_text_and_nulls(tmp_path: Path) -> None:
    ids = pa.array(["e-1", None, *ODD, "e-1"])
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        table = pa.table({"id": pa.array(range(len(ids))), "event_id": ids.cast(kind)})
        assert list(read_ids(write_parquet(tmp_path / "seen.parquet", table))) == ["e-1", *ODD, "e-1"]
    # one column needs no name
    assert list(read_ids(write_parquet(tmp_path / "one.parquet", pa.table({"whatever": ids})))) == ["e-1", *ODD, "e-1"]


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    assert list(read_ids(write(tmp_path / "seen.csv.gz", gzip.compress(b"at,event_id\n1,e-1\n")))) == ["e-1"]


def _damaged_parquet(path: Path) -> bytes:
    pq.write_table(pa.table({"event_id": [f"e-{number}" for number in range(1000)]}), path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda path: _damaged_parquet(path)[:-100], "is damaged"),
        (lambda path: b"PAR1" + b"\x07" * 200 + b"PAR1", "is damaged"),
        (lambda path: b"PAR1", "is damaged"),
        (lambda path: _damaged_parquet(path)[10:], "no text|neither Parquet nor text"),
        (lambda path: gzip.compress(b"e-1\n" * 1000)[:-10], "is damaged"),
        (lambda path: "ä".encode("latin-1"), "neither Parquet nor text"),
        (lambda path: b"e-1\ne-2\0\n", "line 2 has bytes that are no text"),
        (lambda path: b"x" * (1 << 21), "line 1 is longer"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, content, reason: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "seen.bin"
    data = content(path)
    with pytest.raises(SeenFileError, match=reason) as caught:
        list(read_ids(write(path, data)))
    assert str(path) in str(caught.value)


def test_a_flipped_byte_of_parquet_is_refused_or_changes_no_id(tmp_path: Path) -> None:
    whole = _damaged_parquet(tmp_path / "seen.parquet")
    for at in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        path = write(tmp_path / "damaged.parquet", bytes(damaged))
        # without a checksum, a changed letter gives another id: no other kind of error may come
        with suppress(SeenFileError):
            assert all(isinstance(event_id, str) for event_id in read_ids(path))


def test_a_file_that_is_missing_or_a_folder_is_refused_by_name(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(SeenFileError, match=str(path)):
            list(read_ids(str(path)))


def test_columns_that_cannot_have_ids_are_refused(tmp_path: Path) -> None:
    several = write_parquet(tmp_path / "a.parquet", pa.table({"one": ["x"], "two": ["y"]}))
    with pytest.raises(SeenFileError, match="no column is named event_id, and there are several: one, two"):
        list(read_ids(several))
    numbers = write_parquet(tmp_path / "b.parquet", pa.table({"event_id": [1, 2]}))
    with pytest.raises(SeenFileError, match="column event_id holds int64, and ids are text"):
        list(read_ids(numbers))


def test_a_set_of_many_ids_counts_each_once() -> None:
    ids = IdSet(f"e-{number % 150_000}" for number in range(300_000))
    assert ids.count == 150_000
    assert ids.contains(pa.chunked_array([["e-0", "e-149999"], ["e-150000", None]])).tolist() == [
        True,
        True,
        False,
        False,
    ]
