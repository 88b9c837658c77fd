"""Units that are shared out to mapped tasks."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pismo.runs.units import share_out


@pytest.mark.parametrize(
    ("lists", "shared"),
    [
        ([], []),
        ([[], []], []),
        ([["b"], ["a"]], [["a"], ["b"]]),
        ([["a", "c"], ["b"], ["c"]], [["a", "c"], ["b"]]),
        ([["a", "b"], ["c", "d"], ["b", "c"]], [["a", "b", "c", "d"]]),
    ],
)
def test_lists_that_share_a_unit_become_one(lists: list[list[str]], shared: list[list[str]]) -> None:
    assert share_out(lists) == shared


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=3), max_size=8))
def test_no_unit_is_lost_or_given_twice(lists: list[list[str]]) -> None:
    shared = share_out(lists)
    assert set(Counter(unit for units in shared for unit in units).values()) <= {1}
    assert {unit for units in shared for unit in units} == {unit for units in lists for unit in units}
    for units in filter(None, lists):
        assert sum(set(units) <= set(group) for group in shared) == 1
