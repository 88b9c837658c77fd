"""Names by their likeness."""

from __future__ import annotations

from pismo_lake.spelling import SHOWN, list_in_words, rank_names


def test_the_closest_comes_first_and_equals_keep_their_order() -> None:
    assert rank_names("FLTTEN", ["files", "flatten", "close", "flatten"]) == ["flatten", "files", "close"]
    assert rank_names("x", ["b", "a"]) == ["b", "a"]
    assert rank_names("x", []) == []


def test_long_lists_are_cut_short() -> None:
    names = [f"name-{number:02}" for number in range(SHOWN + 3)]
    told = list_in_words("name-07", names)
    assert told.startswith("name-07, ")
    assert told.endswith(" and 3 more")
    assert list_in_words("b", ["a", "b"]) == "b, a"
