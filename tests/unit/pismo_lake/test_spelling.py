"""Names by their likeness."""

from __future__ import annotations

from pismo_lake.spelling import SHOWN, closest, there_are


def test_the_closest_comes_first_and_equals_keep_their_order() -> None:
    assert closest("FLTTEN", ["files", "flatten", "close", "flatten"]) == ["flatten", "files", "close"]
    assert closest("x", ["b", "a"]) == ["b", "a"]
    assert closest("x", []) == []


def test_long_lists_are_cut_short() -> None:
    names = [f"name-{number:02}" for number in range(SHOWN + 3)]
    told = there_are("name-07", names)
    assert told.startswith("name-07, ")
    assert told.endswith(" and 3 more")
    assert there_are("b", ["a", "b"]) == "b, a"
