"""Temporary files of processes that were killed are removed, those of living ones are not."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import SERVER, LakeUnderTest, at, event, find_in_rows, key

from pismo_lake import storage
from pismo_lake.build.spool import remove_spools, spool_folder
from pismo_lake.events.erase import clear_up, erase, landing_roots
from pismo_lake.storage.leftovers import LOCK, hold, hold_folder, remove_folders, remove_leftovers

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = b"his own words"


def in_child(work: Callable[[], None]) -> int:
    """Run some work in a process of its own; return its exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at_sync(number: int) -> None:
    """Kill this process at its n-th fsync, and so at any step of writing a file."""
    left, real = [number], os.fsync

    def fsync(file: int) -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        real(file)

    os.fsync = fsync


def test_a_killed_writer_leaves_a_file_that_is_removed(tmp_path: Path) -> None:
    left = 0
    for number in (1, 1, 2, 3):

        def write(number: int = number) -> None:
            kill_at_sync(number)
            storage.write_atomic(str(tmp_path / "folder" / "file"), SECRET)

        in_child(write)
        removed, others = remove_leftovers(tmp_path)
        left += len(removed)
        assert others == []
        assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
    assert left


def test_a_file_in_use_stays_and_is_told(tmp_path: Path) -> None:
    path = tmp_path / ".a.0.tmp"
    with path.open("wb") as file:
        assert hold(file)
        assert remove_leftovers(tmp_path) == ([], [path])
    assert remove_leftovers(tmp_path) == ([path], [])


def test_a_file_that_was_removed_before_it_was_held_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, removed = Path.open, []

    def opened(self: Path, *arguments: str, **options: str) -> object:
        file = real(self, *arguments, **options)
        if self.suffix == ".tmp" and not removed:
            removed.append(self)
            self.unlink()
        return file

    monkeypatch.setattr(Path, "open", opened)
    storage.write_atomic(str(tmp_path / "a"), b"content")
    assert removed
    assert (tmp_path / "a").read_bytes() == b"content"


def test_a_folder_in_use_stays(tmp_path: Path) -> None:
    with hold_folder(tmp_path / "used") as used:
        (tmp_path / "left").mkdir()
        (tmp_path / "left" / "part").write_bytes(SECRET)
        assert remove_folders([used, tmp_path / "left"]) == ([tmp_path / "left"], [used])
        assert used.is_dir()
    assert not used.exists()


def test_a_folder_that_is_removed_before_its_lock_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process removes a new folder before its lock exists, and then before the lock is held."""
    mkdir, opened = Path.mkdir, Path.open
    seen: list[str] = []

    def make(self: Path, **options: Any) -> None:
        mkdir(self, **options)
        seen.append("made")
        if len(seen) == 1:
            assert remove_folders([self]) == ([self], [])

    def open_lock(self: Path, *arguments: Any) -> Any:
        lock = opened(self, *arguments)
        seen.append("opened")
        if seen.count("opened") == 1:
            monkeypatch.setattr(Path, "open", opened)
            assert remove_folders([self.parent]) == ([self.parent], [])
        return lock

    monkeypatch.setattr(Path, "mkdir", make)
    monkeypatch.setattr(Path, "open", open_lock)
    with hold_folder(tmp_path / "spool") as folder:
        assert (folder / LOCK).exists()
        assert seen == ["made", "made", "opened", "made"]
        assert remove_folders([folder]) == ([], [folder])
    assert not (tmp_path / "spool").exists()


def test_a_close_that_is_late_leaves_the_spool_of_the_next_one(lake: LakeUnderTest) -> None:
    """The builder that lost its claim makes its spool after the builder that took the claim over."""
    with spool_folder(lake.settings, "2026-03-01", "second") as folder:
        (folder / "part").write_bytes(b"rows")
        with spool_folder(lake.settings, "2026-03-01", "first"):
            assert (folder / "part").read_bytes() == b"rows"
        assert (folder / "part").read_bytes() == b"rows"


@pytest.mark.parametrize("place", ["local", "s3://bucket/lake"])
def test_the_spool_of_a_killed_close_is_removed(
    lake: LakeUnderTest, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    settings = lake.settings if place == "local" else LakeUnderTest(tmp_path, lake=place).settings

    def close() -> None:
        with spool_folder(settings, "2026-03-01", "token") as folder:
            (folder / "part").write_bytes(SECRET)
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(close) == -signal.SIGKILL
    assert any(SECRET in path.read_bytes() for path in tmp_path.rglob("part"))
    with spool_folder(settings, "2026-03-02", "other"):
        removed, others = remove_spools(settings)
    assert (len(removed), len(others)) == (1, 1)
    assert not list(tmp_path.rglob("part"))


@pytest.mark.skipif(SERVER is not None, reason="the children share an SQLite file")
def test_no_step_of_a_killed_run_leaves_the_person(lake: LakeUnderTest) -> None:
    """Kill each step of land, build and close in turn; then finish, and erase the person."""
    files = {key(1): event("e-1", {"note": SECRET.decode()}, timestamp=at(1)) + event("e-2", timestamp=at(1))}
    lake.ledger.close()
    for number in range(1, 200):

        def work(number: int = number) -> None:
            mine = LakeUnderTest.__new__(LakeUnderTest)
            mine.root, mine.settings = lake.root, lake.settings
            mine.open_ledger(lake._ledger_url())
            kill_at_sync(number)
            mine.land(files)
            mine.build(["2026-03-01T01"], force=True)
            mine.close("2026-03-01", force=True)

        if in_child(work) == 0:
            break
    lake.open_ledger(lake._ledger_url())
    lake.land(files)
    lake.build()
    lake.close("2026-03-01")
    assert list(lake.root.rglob(".*.tmp"))
    erase(lake.settings, lake.ledger, find_in_rows(lake.settings, [], ["e-1"]), "t", raw=True)
    assert not [path for path in lake.root.rglob("*") if path.is_file() and SECRET in path.read_bytes()]
    assert clear_up(lake.settings, landing_roots(lake.settings, lake.ledger)) == ()
    lake.ledger.close()
