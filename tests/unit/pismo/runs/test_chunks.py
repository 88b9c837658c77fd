"""The work of a run, cut into chunks for mapped tasks."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pismo.runs.chunks import MOST_CHUNKS, MOST_FILES, MOST_UNITS, WHOLE, Chunk, cut, pack
from pismo_lake.landing.remote_file import RemoteFile

LIMIT = 100


def key(hour: int, name: object, day: int = 1) -> str:
    return f"main_stream/2026/3/{day}/{hour}/{name}"


def files(*sizes: tuple[int, int]) -> list[RemoteFile]:
    """Return a file for each (hour, size), with a name that sorts by its place."""
    return [RemoteFile(key(hour, f"{number:05d}"), size) for number, (hour, size) in enumerate(sizes)]


def test_a_small_run_is_one_chunk_with_its_notices_and_unbuilt_units() -> None:
    assert cut(files((9, 40), (10, 40)), {"2026-03-01T08": 20}, 3, chunk_bytes=LIMIT) == [WHOLE]
    assert cut([], {}, MOST_FILES, chunk_bytes=LIMIT) == [WHOLE]
    assert WHOLE.to_json() == {}
    assert Chunk.from_json({}).is_whole


def test_files_that_a_run_names_are_in_no_range() -> None:
    assert cut(files((9, 500), (10, 500)), {}, 0, chunk_bytes=LIMIT, is_ranged=False) == [WHOLE]


def test_small_hours_share_a_chunk_and_a_large_hour_has_several() -> None:
    found = files((7, 30), (8, 30), (9, 50), (10, 90), (10, 60), (10, 30), (12, 10))
    chunks = cut(found, {}, 0, chunk_bytes=LIMIT)
    assert [str(chunk) for chunk in chunks] == [
        "2026-03-01T07 to 2026-03-01T08", "2026-03-01T09", "2026-03-01T10, part 3/1/10/00003",
        "2026-03-01T10, part last", "2026-03-01T12",
    ]  # fmt: skip
    assert [chunk.is_slice for chunk in chunks] == [False, False, True, True, False]
    assert [chunk.is_last for chunk in chunks if chunk.is_slice] == [False, True]


def test_notices_come_last_and_those_of_listed_files_cost_nothing() -> None:
    (hours, notices) = cut(files((9, 60), (10, 30)), {"2026-03-01T11": 50}, 4, chunk_bytes=LIMIT)[0::2]
    assert (hours.first, hours.last) == ("2026-03-01T09", "2026-03-01T10")
    assert notices.messages == 4
    many = cut([], {}, 2 * MOST_FILES + 1, chunk_bytes=LIMIT)
    assert [chunk.messages for chunk in many] == [334, 334, 334]


def test_units_without_new_files_are_chunks_of_bounded_bytes() -> None:
    units = {"2026-03-01T09": 10, "2026-03-02T01": 60, "2026-03-02T02": 30, "2026-03-02T03": 500, "2026-02-01": 90}
    chunks = cut(files((8, 30), (10, 60)), units, 0, chunk_bytes=LIMIT)
    # an hour between those of a chunk with files is built by that chunk
    assert [chunk.units or (chunk.first, chunk.last) for chunk in chunks] == [
        ("2026-02-01",), ("2026-03-01T08", "2026-03-01T10"), ("2026-03-02T01", "2026-03-02T02"), ("2026-03-02T03",),
    ]  # fmt: skip


def test_a_backlog_is_cut_to_its_newest_chunks() -> None:
    many = [RemoteFile(key(hour, name, day), LIMIT) for day in range(1, 29) for hour in range(24) for name in (1, 2)]
    chunks = cut(many, {}, 1, chunk_bytes=LIMIT)
    assert len(chunks) == MOST_CHUNKS
    assert chunks[-1].messages == 1
    assert (chunks[-2].last, chunks[-2].is_last) == ("2026-03-28T23", True)
    assert chunks[0].first > "2026-03-07"


@given(
    st.lists(st.tuples(st.integers(0, 23), st.integers(0, 120)), max_size=40), st.integers(1, 150)
)  # fmt: skip
def test_each_file_is_in_one_chunk_and_chunks_are_small(sizes: list[tuple[int, int]], limit: int) -> None:
    found = files(*sizes)
    chunks = cut(found, {}, 0, chunk_bytes=limit)
    for chunk in chunks:
        assert Chunk.from_json(json.loads(json.dumps(chunk.to_json()))) == chunk
        mine = [file for file in found if chunk.has_key(file.key)]
        assert len(mine) <= 1 or sum(file.size or 0 for file in mine) <= limit
        hours = {str(hour) for hour in chunk.hours}
        assert chunk.is_whole or {f"2026-03-01T{int(file.key.split('/')[4]):02d}" for file in mine} <= hours
    assert all(sum(chunk.has_key(file.key) for chunk in chunks) == 1 for file in found)
    for one, following in pairwise(chunks):
        assert (one.last, one.upto or "~") < (following.first, following.upto or "~")


@pytest.mark.parametrize(
    ("lists", "packed"),
    [
        ([], []),
        ([["a"], ["b"], ["c"]], [["a", "b"], ["c"]]),
        ([["a", "c"], ["b"]], [["a", "c"], ["b"]]),
        ([["large"], ["a"]], [["large"], ["a"]]),
    ],
)
def test_lists_of_few_bytes_become_one(lists: list[list[str]], packed: list[list[str]]) -> None:
    assert pack(lists, {"a": 50, "b": 50, "c": 50, "large": 500}, LIMIT) == packed


def test_many_empty_units_are_several_lists() -> None:
    assert [len(units) for units in pack([[str(n)] for n in range(MOST_UNITS + 1)], {}, LIMIT)] == [MOST_UNITS, 1]
