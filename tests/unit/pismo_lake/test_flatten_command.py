"""`python -m pismo_lake flatten` on a folder: again, and after somebody removed the lake's files."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.lakes import event

from pismo_lake.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def contents(lake: Path) -> dict[str, bytes]:
    return {str(path.relative_to(lake)): path.read_bytes() for path in lake.rglob("*.parquet")}


def test_what_is_known_is_counted_and_what_is_gone_comes_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, lake = tmp_path / "raw" / "main_stream/2026/3/1/9", tmp_path / "lake"
    raw.mkdir(parents=True)
    for number in range(3):
        (raw / f"f{number}").write_bytes(event(f"e-{number}"))
    command = ["flatten", str(tmp_path / "raw"), "--lake", str(lake)]
    assert main(command) == 0
    assert "3 new file(s), 0 known" in capsys.readouterr().out
    before = contents(lake)
    assert main(command) == 0
    assert "0 new file(s), 3 known" in capsys.readouterr().out
    assert contents(lake) == before
    shutil.rmtree(lake / "events")
    assert main(command) == 0
    assert "0 new file(s), 3 known" in capsys.readouterr().out
    assert contents(lake) == before
