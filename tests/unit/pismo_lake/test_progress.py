"""Sizes in words."""

from __future__ import annotations

import pytest

from pismo_lake.progress import size_text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0.0 kB"),
        (1_500, "1.5 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (12_345_678, "12.3 MB"),
    ],
)
def test_sizes_are_in_kilobytes_below_a_megabyte(size: int, text: str) -> None:
    assert size_text(size) == text
