"""Which units the `force` of a window asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.lakes import LakeUnderTest, event, key

from pismo.runs.find import find_forced_units
from pismo.runs.window import Window

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("asked", "hours"),
    [
        (key(9, "a b"), ["09"]),
        (key(9, "a%20b"), ["09"]),
        # it is landed in this very spelling, the other file is not meant
        (key(10, "c%20d"), ["10"]),
        (key(12, "never%20landed"), []),
    ],
)
def test_an_object_by_either_spelling(tmp_path: Path, asked: str, hours: list[str]) -> None:
    lake = LakeUnderTest(tmp_path)
    names = (key(9, "a b"), key(10, "c%20d"), key(10, "c d").replace("/10/", "/11/"))
    lake.land({name: event(name) for name in names})
    lake.build()
    units = {f"2026-03-01T{hour}" for hour in hours}
    assert find_forced_units(lake.files, Window((), (asked,), force=True)) == units
    assert find_forced_units(lake.files, Window((), (asked,))) == set()
