"""`ledger rebuild` ends with the tables of the rebuilt ledger, also after a kill in the middle of its commits."""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from tests.catalog_reader import open_reader
from tests.lakes import at, event, key
from tests.waiting import PATIENCE

from pismo_lake.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

DAY = "2026-03-01"


@pytest.fixture
def lake(tmp_path: Path) -> str:
    """Return a lake with tables: a closed day, and an hour of the next day."""
    place = str(tmp_path / "lake")
    files = {key(3): event("e-3", timestamp=at(3)) + b"{broken", key(4): event("e-4", timestamp=at(4))}
    files |= {key(5, day=2): event("e-5", event_type="pix_out", timestamp=at(5, 2))}
    write(tmp_path, files)
    assert main(["flatten", str(tmp_path / "raw"), "--lake", place, "--table-format", "iceberg"]) == 0
    assert main(["close", "--lake", place, "--date", DAY]) == 0
    return place


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = root / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def lose(root: Path, name: str) -> None:
    for path in root.glob(f"lake-{name}.db*"):
        path.unlink()


def rebuild(lake: str, kill_after: int = 0) -> int:
    """Rebuild the ledger; kill the process after some commits."""
    real = SqlCatalog.commit_table
    done = 0

    def commit(*arguments: Any) -> Any:
        nonlocal done
        answer = real(*arguments)
        done += 1
        if done == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    SqlCatalog.commit_table = commit  # type: ignore[method-assign]
    try:
        return main(["ledger", "rebuild", "--lake", lake])
    finally:
        SqlCatalog.commit_table = real  # type: ignore[method-assign]


def contents(root: Path) -> dict[str, tuple[int | None, list[str], list[str]]]:
    """Return the snapshot of each table, its events, and its files."""
    found = {}
    with open_reader(f"sqlite:///{root / 'lake-ledger.db'}") as catalog:
        for name in ("lake.rejects", "lake.reports", "pix.pix_in_1", "pix.pix_out_1"):
            table = catalog.load_table(name)
            rows = table.scan().to_arrow().to_pylist()
            snapshot = table.current_snapshot()
            found[name] = (
                snapshot.snapshot_id if snapshot else None,
                sorted(str(row.get("event_id")) for row in rows),
                sorted(task.file.file_path for task in table.scan().plan_files()),
            )
    return found


def test_a_rebuild_leaves_sound_tables_alone(lake: str, tmp_path: Path) -> None:
    before = contents(tmp_path)
    lose(tmp_path, "ledger")
    assert rebuild(lake) == 0
    assert contents(tmp_path) == before


def test_a_late_hour_is_taken_into_its_day_in_one_snapshot(lake: str, tmp_path: Path) -> None:
    write(tmp_path, {key(3, "late"): event("e-late", timestamp=at(3))})
    assert main(["flatten", str(tmp_path / "raw"), "--lake", lake]) == 0
    lose(tmp_path, "ledger")
    with open_reader(f"sqlite:///{tmp_path / 'lake-ledger.db'}") as catalog:
        before = len(catalog.load_table("pix.pix_in_1").history())
    assert rebuild(lake) == 0
    _, rows, files = contents(tmp_path)["pix.pix_in_1"]
    assert rows == ["e-3", "e-4", "e-late"]
    assert [path.removeprefix("file://") for path in files] == list(map(str, tmp_path.glob("lake/events/*/*in-1/*/*")))
    with open_reader(f"sqlite:///{tmp_path / 'lake-ledger.db'}") as catalog:
        assert len(catalog.load_table("pix.pix_in_1").history()) == before + 1


@pytest.mark.parametrize("kill_after", [1, 4])
def test_a_killed_rebuild_and_its_retry_make_lost_tables_anew(lake: str, tmp_path: Path, kill_after: int) -> None:
    before = contents(tmp_path)
    lose(tmp_path, "ledger")
    lose(tmp_path, "catalog")
    killed = multiprocessing.get_context("forkserver").Process(target=rebuild, args=(lake, kill_after))
    killed.start()
    killed.join(PATIENCE)
    assert killed.exitcode == -signal.SIGKILL
    assert rebuild(lake) == 0
    after = contents(tmp_path)
    assert {name: of[1:] for name, of in after.items()} == {name: of[1:] for name, of in before.items()}
    assert main(["check", "--lake", lake]) == 0
