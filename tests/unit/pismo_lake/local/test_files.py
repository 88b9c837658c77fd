"""A large input is landed, indexed and built in chunks, and gives the lake of one chunk."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from tests.lakes import event, is_bond

from pismo_lake.cli.main import main
from pismo_lake.errors import StorageError
from pismo_lake.index import run
from pismo_lake.local import files

if TYPE_CHECKING:
    from pathlib import Path


def contents(root: Path) -> dict[str, bytes]:
    """Return the files of lake and landing that do not belong to one lake alone."""
    folders = (root / "lake", root / "lake-landing")
    every = (path for folder in folders for path in folder.rglob("*") if path.is_file() and not is_bond(path))
    return {str(path.relative_to(root)): path.read_bytes() for path in every}


def closed(root: Path) -> dict[str, bytes]:
    """Close the day, and return the files; before, a part lacks the columns that came after it was built."""
    assert main(["close", "--date", "2026-03-01", "--lake", str(root / "lake")]) == 0
    return {path: content for path, content in contents(root).items() if "/reports/" not in f"/{path}"}


def ids(root: Path) -> set[str]:
    tables = (pq.ParquetFile(path).read(["event_id"]) for path in (root / "lake" / "events").rglob("*.parquet"))
    return {event_id for table in tables for event_id in table.column(0).to_pylist()}


def feed(root: Path, texts_from: int = 99) -> list[str]:
    """Write 12 files over three hours; later ones add columns, widen one, and hold copies of earlier events."""
    names = []
    for number in range(12):
        hour, kind = 9 + number // 4, "text" if number >= texts_from else 7
        amount = 5 if number < 9 else 5.5
        data = {"account_id": kind, "amount": amount, f"column{number // 3}": 1}
        own = [event(f"e-{number}-{place}", data, timestamp=f"2026-03-01T{hour:02d}:10:00Z") for place in range(5)]
        copy = event(f"e-{max(number - 5, 0)}-1", data, timestamp=f"2026-03-01T{hour:02d}:10:00Z")
        path = root / f"raw/main_stream/2026/3/1/{hour}/f{number:02d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join([*own, copy]))
        names.append(str(path))
    return names


def flatten(raw: Path, root: Path, *names: str, jobs: int = 1) -> int:
    """Load the files below a folder, or some of them."""
    return main(["flatten", *(names or [str(raw / "raw")]), "--lake", str(root / "lake"), "--jobs", str(jobs)])


@pytest.mark.parametrize("jobs", [1, 2])
def test_chunks_give_the_lake_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
    feed(tmp_path)
    assert flatten(tmp_path, tmp_path / "whole") == 0
    monkeypatch.setattr(files, "_CHUNK_BYTES", 4000)
    looked: list[int] = []
    landed = files.land_files

    def look_and_land(*given: Any, **options: Any) -> Any:
        looked.append(len(ids(tmp_path / "cut")))
        return landed(*given, **options)

    monkeypatch.setattr(files, "land_files", look_and_land)
    assert flatten(tmp_path, tmp_path / "cut", jobs=jobs) == 0
    # the rows of a chunk are in the lake before the next one is landed
    assert len(looked) > 3
    assert looked[0] == 0
    assert all(before < after for before, after in pairwise(looked))
    assert ids(tmp_path / "cut") == ids(tmp_path / "whole")
    assert closed(tmp_path / "cut") == closed(tmp_path / "whole")


def test_what_waits_since_an_earlier_call_is_indexed_in_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the kind of account_id is set by the file with the lowest rank
    names = feed(tmp_path, texts_from=10)
    assert flatten(tmp_path, tmp_path / "whole") == 0
    index_landed = run.index_landed
    # as if the call had been killed after landing
    monkeypatch.setattr(files, "index_landed", lambda *args, **_: index_landed(*args, hours=[]))
    (tmp_path / "cut").mkdir()
    assert flatten(tmp_path, tmp_path / "cut", *names[10:]) == 0
    monkeypatch.setattr(files, "index_landed", index_landed)
    monkeypatch.setattr(files, "_CHUNK_BYTES", 4000)
    assert flatten(tmp_path, tmp_path / "cut") == 0
    assert ids(tmp_path / "cut") == ids(tmp_path / "whole")
    assert closed(tmp_path / "cut") == closed(tmp_path / "whole")


def test_a_file_that_cannot_be_indexed_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(tmp_path)
    monkeypatch.setattr(files, "_CHUNK_BYTES", 2000)
    take = run.Indexer.take

    def take_most(self: run.Indexer, file: Any, *given: Any) -> Any:
        if file.name.endswith("f01"):
            msg = "a defect"
            raise ValueError(msg)
        return take(self, file, *given)

    monkeypatch.setattr(run.Indexer, "take", take_most)
    assert flatten(tmp_path, tmp_path) == 1
    assert capsys.readouterr().err.count("/f01") == 1
    monkeypatch.undo()
    assert flatten(tmp_path, tmp_path) == 0
    assert len(ids(tmp_path)) == 60


def test_a_full_disk_ends_the_call_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(tmp_path)
    monkeypatch.setattr(files, "_CHUNK_BYTES", 4000)
    landed, calls = files.land_files, []

    def land_two(*given: Any, **options: Any) -> Any:
        calls.append(given)
        if len(calls) == 3:
            msg = "no space left"
            raise StorageError(msg)
        return landed(*given, **options)

    monkeypatch.setattr(files, "land_files", land_two)
    assert flatten(tmp_path, tmp_path) == 1
    assert "no space left" in capsys.readouterr().err
    early = ids(tmp_path)
    assert early
    monkeypatch.undo()
    assert flatten(tmp_path, tmp_path) == 0
    assert early < ids(tmp_path)


def test_chunks_have_bounded_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_CHUNK_BYTES", 8)
    sizes = [3, 3, 5, 20, 1, None, 7, 8]
    cut = files._cut([files.RemoteFile(str(place), size) for place, size in enumerate(sizes)])
    assert [[file.size for file in chunk] for chunk in cut] == [[3, 3], [5], [20], [1, None, 7], [8]]
    assert files._cut([]) == [[]]
