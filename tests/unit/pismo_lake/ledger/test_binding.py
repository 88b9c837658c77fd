"""A lake belongs to one ledger: every command refuses a lost, an older or another ledger."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import text
from tests.lakes import LakeUnderTest, event, key

from pismo_lake import storage
from pismo_lake.cli.main import main
from pismo_lake.errors import LedgerMismatchError
from pismo_lake.ledger import Ledger, RawLedger
from pismo_lake.ledger.binding import FORMAT_VERSION, LakeBinding, read_identity
from pismo_lake.ledger.generation import newest_generation
from pismo_lake.paths import GENERATIONS, IDENTITY

DAY = "2026-03-01"
COMMANDS = {
    "flatten": ["flatten", "RAW"],
    "report": ["report", "--date", DAY],
    "close": ["close", "--date", DAY],
    "close dry": ["close", "--date", DAY, "--dry-run"],
    "files": ["files"],
    "where": ["where-is", "e-1"],
    "show": ["show", "e-1"],
    "ddl": ["ddl", "--dialect", "duckdb"],
    "contracts": ["contracts", "show"],
    "erase": ["erase", "--event-id", "e-2", "--reference", "t"],
}


class Place:
    """A lake of the command line."""

    def __init__(self, root: Path) -> None:
        self.root, self.lake = root, root / "lake"
        self.raw = root / "raw" / "main_stream/2026/3/1/12"
        self.raw.mkdir(parents=True)
        (self.raw / "a").write_bytes(b"".join(event(f"e-{n}", {"doc": str(n)}) for n in range(5)))
        self.run("flatten")

    def run(self, command: str, *more: str) -> int:
        words = [str(self.root / "raw") if word == "RAW" else word for word in COMMANDS[command]]
        return main([*words, "--lake", str(self.lake), *more])

    def rebuild(self) -> int:
        return main(["ledger", "rebuild", "--lake", str(self.lake)])

    def back_up(self) -> None:
        source, target = sqlite3.connect(self.root / "lake-ledger.db"), sqlite3.connect(self.root / "backup.db")
        source.backup(target)
        source.close()
        target.close()

    def lose(self) -> None:
        for path in self.root.glob("lake-ledger.db*"):
            path.unlink()

    def restore(self) -> None:
        self.lose()
        shutil.copy(self.root / "backup.db", self.root / "lake-ledger.db")

    def tree(self) -> dict[str, bytes]:
        """Lake and landing, without reports."""
        roots = (self.lake, self.root / "lake-landing")
        paths = [path for root in roots for path in root.rglob("*") if path.is_file()]
        return {str(path): path.read_bytes() for path in paths if "reports" not in path.parts}

    def outputs(self) -> dict[str, bytes]:
        """Return the Parquet files of the lake."""
        return {path: data for path, data in self.tree().items() if "/lake/" in path and path.endswith(".parquet")}


def ids(place: Place) -> list[str]:
    tables = (pq.ParquetFile(path).read(["event_id"]) for path in (place.lake / "events").rglob("*.parquet"))
    return sorted(event_id for table in tables for event_id in table.column(0).to_pylist())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def late_file(place: Place) -> None:
    (place.raw / "late").write_bytes(event("late"))
    place.run("flatten")


SINCE = {
    "a build": late_file,
    "a close": lambda place: place.run("close"),
    "an erasure": lambda place: place.run("erase"),
    "a late file and a close": lambda place: (late_file(place), place.run("close")),
    "a forced build": lambda place: place.run("flatten", "--force"),
}


@pytest.mark.parametrize("since", SINCE)
def test_an_older_copy_of_the_ledger_is_refused_and_mended(
    place: Place, since: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place.back_up()
    SINCE[since](place)
    place.restore()
    before, outputs = place.tree(), place.outputs()
    capsys.readouterr()
    for command in COMMANDS:
        assert place.run(command) == 1
        told = capsys.readouterr()
        assert told.out == ""
        assert "so it is an older copy" in told.err
        assert f"python -m pismo_lake ledger rebuild --lake {place.lake}" in told.err
    assert place.tree() == before
    assert place.rebuild() == 0
    assert place.outputs() == outputs
    assert [command for command in COMMANDS if command != "erase" and place.run(command)] == []
    assert len(ids(place)) == len(set(ids(place)))


@pytest.mark.parametrize("again", [False, True])
def test_a_lost_ledger_is_refused_and_mended(place: Place, capsys: pytest.CaptureFixture[str], *, again: bool) -> None:
    place.run("close")
    place.run("erase")
    before = place.outputs()
    place.lose()
    if again:
        # a server's ledger: the database is there, and empty
        Ledger.open(f"sqlite:///{place.root}/lake-ledger.db").close()
    capsys.readouterr()
    for command in COMMANDS:
        assert place.run(command) == 1
        assert "python -m pismo_lake ledger rebuild" in capsys.readouterr().err
        assert (place.root / "lake-ledger.db").exists() == again
    assert place.rebuild() == 0
    assert place.outputs() == before
    assert place.run("flatten") == place.run("close") == place.run("report") == 0
    assert place.outputs() == before


def test_a_second_ledger_on_a_lake_is_refused(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    other = ["--ledger", f"sqlite:///{place.root}/other.db"]
    before = place.tree()
    for made in (False, True):
        if made:
            Ledger.open(other[1]).close()
        for command in COMMANDS:
            capsys.readouterr()
            assert place.run(command, *other) == 1
            assert "is not the present ledger of lake" in capsys.readouterr().err
    assert place.tree() == before
    # who rebuilds it takes the lake over
    assert main(["ledger", "rebuild", "--lake", str(place.lake), *other]) == 0
    assert place.run("flatten", *other) == 0
    assert place.run("flatten") == 1
    assert "the lake belongs to ledger" in capsys.readouterr().err


def test_a_lake_of_an_earlier_version_is_adopted_once(place: Place) -> None:
    make_older(place)
    assert place.run("report") == 0
    assert read_identity(str(place.lake)) is None
    late_file(place)
    assert read_identity(str(place.lake)) is not None
    assert ids(place) == ["e-0", "e-1", "e-2", "e-3", "e-4", "late"]


def test_a_lake_of_an_earlier_version_with_a_ledger_that_lacks_files_is_refused(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.back_up()
    late_file(place)
    place.restore()
    make_older(place)
    assert place.run("flatten") == 1
    assert "it does not know events/" in capsys.readouterr().err
    assert place.rebuild() == 0
    assert place.run("flatten") == 0


def make_older(place: Place) -> None:
    """As a version left it that knew no identities."""
    (place.lake / IDENTITY).unlink()
    shutil.rmtree(place.lake / GENERATIONS)
    with Ledger.open(f"sqlite:///{place.root}/lake-ledger.db") as ledger, ledger.transaction() as connection:
        connection.execute(text("DROP TABLE pismo_lakes"))
        connection.execute(text("DROP TABLE pismo_ledger_version"))


def test_a_lake_of_a_later_version_is_refused(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    path = place.lake / IDENTITY
    # a later format may have other keys
    path.write_text(json.dumps({"format_version": FORMAT_VERSION + 1, "lake": "1"}))
    before = {file: file.read_bytes() for file in place.lake.rglob("*") if file.is_file()}
    for command in (lambda: place.run("flatten"), place.rebuild):
        assert command() == 1
        assert "a later version of this program wrote it" in capsys.readouterr().err
    assert before == {file: file.read_bytes() for file in place.lake.rglob("*") if file.is_file()}


def test_a_damaged_identity_is_named(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (place.lake / IDENTITY).write_bytes(b"\0\0")
    assert place.run("flatten") == 1
    assert f"{place.lake / IDENTITY} is damaged" in capsys.readouterr().err


def test_a_lake_that_is_removed_whole_is_made_again(place: Place) -> None:
    before = place.outputs()
    shutil.rmtree(place.lake)
    assert place.run("flatten") == 0
    assert place.outputs() == before


def test_a_moved_lake_is_rebuilt_as_the_runbook_says(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.run("close")
    before = place.outputs()
    shutil.copytree(place.lake, place.root / "new")
    shutil.copytree(place.root / "lake-landing", place.root / "new-landing")
    where = ["--lake", str(place.root / "new"), "--ledger", f"sqlite:///{place.root}/lake-ledger.db"]
    assert main(["report", "--date", DAY, *where]) == 1
    assert "it does not know the lake" in capsys.readouterr().err
    assert main(["ledger", "rebuild", *where]) == 0
    assert main(["report", "--date", DAY, *where]) == 0
    moved = {path.relative_to(place.root / "new") for path in (place.root / "new").rglob("*.parquet")}
    assert {Path(path).relative_to(place.lake) for path in before} < moved
    # the ledger still serves the old place
    assert place.run("flatten") == 0


def binding(lake: LakeUnderTest) -> LakeBinding:
    return LakeBinding(lake.ledger, lake.settings.lake, "test", lake.settings.landing)


def test_the_ledger_is_never_behind_its_lake(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a process is killed before it writes the lake's mark, the next process continues."""

    class Killed(BaseException):
        pass

    written = storage.write_atomic
    at = 0

    def write(uri: str, *arguments: object, **options: object) -> None:
        nonlocal at
        if f"/{GENERATIONS}/" in uri:
            at -= 1
            if at == 0:
                raise Killed
        written(uri, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(storage, "write_atomic", write)
    killed = 0
    for at in range(1, 6):
        try:
            lake.land({key(12, f"f{at}"): event(f"e-{at}")})
            lake.build()
            lake.close(DAY)
        except Killed:
            killed += 1
        binding(lake).check()
    assert killed >= 3
    at = 0
    lake.land({key(12, f"f{n}"): event(f"e-{n}") for n in range(1, 6)})
    lake.build()
    lake.close(DAY)
    assert sorted(row["event_id"] for row in lake.rows()) == [f"e-{n}" for n in range(1, 6)]


def test_marks_of_generations_do_not_pile_up(lake: LakeUnderTest) -> None:
    binding(lake).bind()
    raws = RawLedger(lake.ledger, lake.settings.lake, "test")
    for _ in range(100):
        raws.note([])
    marks = list((lake.root / "lake" / GENERATIONS).iterdir())
    assert newest_generation(lake.settings.lake) == 100
    assert len(marks) <= 64


def test_many_processes_bind_a_new_lake_to_one_ledger(lake: LakeUnderTest) -> None:
    ledgers = [Ledger.open(lake.ledger.engine.url.render_as_string(hide_password=False)) for _ in range(8)]
    failures = []

    def bind(ledger: Ledger) -> None:
        try:
            LakeBinding(ledger, lake.settings.lake, "test", lake.settings.landing).bind()
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=bind, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for ledger in ledgers:
        ledger.close()
    assert failures == []
    binding(lake).check()


def test_a_library_call_with_another_ledger_writes_nothing(lake: LakeUnderTest, tmp_path: Path) -> None:
    lake.put(event("e-1"))
    before = lake.digest()
    with Ledger.open(f"sqlite:///{tmp_path}/other.db") as other:
        stranger = LakeUnderTest(lake.root)
        stranger.ledger = other
        with pytest.raises(LedgerMismatchError, match="is not the present ledger"):
            stranger.land({key(12, "b"): event("b")})
    assert lake.digest() == before


def test_two_deliveries_of_a_lake_are_rebuilt_before_it_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = ["--lake", str(tmp_path / "lake")]
    for delivery in ("one", "two"):
        raw = tmp_path / delivery / "main_stream/2026/3/1/12"
        raw.mkdir(parents=True)
        (raw / delivery).write_bytes(event("both") + event(delivery))
        assert main(["flatten", str(tmp_path / delivery), *lake, "--delivery", delivery]) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "lake").rglob("*.parquet")}
    (tmp_path / "lake-ledger.db").unlink()
    assert main(["ledger", "rebuild", *lake, "--delivery", "one"]) == 0
    assert "before these deliveries are rebuilt too: two" in capsys.readouterr().out
    for delivery in ("one", "two"):
        assert main(["flatten", str(tmp_path / delivery), *lake, "--delivery", delivery]) == 1
        assert "--delivery two" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "lake").rglob("*.parquet")} == before
    assert main(["ledger", "rebuild", *lake, "--delivery", "two"]) == 0
    for delivery in ("one", "two"):
        assert main(["flatten", str(tmp_path / delivery), *lake, "--delivery", delivery]) == 0
    assert {path: path.read_bytes() for path in (tmp_path / "lake").rglob("*.parquet")} == before
