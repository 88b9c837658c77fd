"""With `flatten --jobs` the lake is that of a single process, even if processes die."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from sqlalchemy import create_engine, text
from tests.killer import command_of
from tests.lakes import HOUR, LakeUnderTest, event, is_bond
from tests.waiting import PATIENCE, until

from pismo_lake.contracts.store import ContractStore
from pismo_lake.decode.container import uncompress
from pismo_lake.index.ahead import Ahead, index_early, result_of
from pismo_lake.index.make import MadeIndex, make_index
from pismo_lake.ledger.raw_files import RawFile
from pismo_lake.local.workers import Workers
from pismo_sandbox.check.truth import Truth
from pismo_sandbox.check.verify import verify
from pismo_sandbox.feed.publisher import Dials, FolderSink, Publisher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return some 40 files over three publish hours with all troubles, some above 1 MiB."""
    root = tmp_path_factory.mktemp("feed")
    truth = Truth(root / "truth.db")
    publisher = Publisher(FolderSink(root / "raw"), truth, seed=11, dials=Dials.everything())
    start = datetime(2026, 3, 1, 9, tzinfo=UTC)
    publisher.publish(start, start + timedelta(hours=3), 9_000_000)
    publisher.publish(start, start + timedelta(minutes=10), 4_000_000)
    truth.close()
    return root


@pytest.fixture(scope="module")
def alone(feed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the lake of one process."""
    root = tmp_path_factory.mktemp("alone")
    finished(flatten(feed, root, 1))
    return root


def flatten(feed: Path, root: Path, jobs: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pismo_lake", "-v", "flatten", str(feed / "raw"), "--lake", str(root / "lake")]
    return subprocess.Popen(
        [*command, "--jobs", str(jobs)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PISMO_LAKE": ""},
    )  # fmt: skip


def finished(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said[-3000:]
    return said


def files_of(root: Path) -> dict[str, bytes]:
    """Return every file of lake and landing, without temporary files of killed writes."""
    folders = (root / "lake", root / "lake-landing")
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in folders for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".tmp" and not is_bond(path)
    }  # fmt: skip


def changes_of(root: Path) -> list[tuple[Any, ...]]:
    """Return the contract changes, with their files and offsets, in order."""
    engine = create_engine(f"sqlite:///{root / 'lake-ledger.db'}")
    columns = "domain, event_type, version, path, before, after, first_file, first_offset"
    query = f"select {columns} from pismo_contract_changes order by id"
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return found


def forks_of(process: psutil.Process) -> list[psutil.Process]:
    """Return the worker processes of a process: the forks of its child that has imported their code."""
    servers = [child for child in process.children() if "forkserver" in command_of(child)]
    return [fork for server in servers for fork in server.children()]


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the worker processes, once they run."""
    found: list[psutil.Process] = []

    def came() -> bool:
        found[:] = forks_of(psutil.Process(process.pid))
        return len(found) >= 2

    until(came, pause=0.01)
    return found


def test_many_processes_make_the_lake_of_one(feed: Path, alone: Path, tmp_path: Path) -> None:
    said = finished(flatten(feed, tmp_path, 3))
    ahead = re.search(r"workers indexed (\d+) of \d+ files", said)
    assert ahead is not None
    assert int(ahead[1]) > 0, said
    assert files_of(tmp_path) == files_of(alone)
    assert changes_of(tmp_path) == changes_of(alone)
    truth = Truth(feed / "truth.db")
    assert verify(tmp_path / "lake", truth).problems == []
    truth.close()


def test_a_worker_that_is_killed_takes_nothing_with_it(feed: Path, alone: Path, tmp_path: Path) -> None:
    process = flatten(feed, tmp_path, 2)
    workers_of(process)[0].kill()
    finished(process)
    assert files_of(tmp_path) == files_of(alone)


def test_workers_end_with_their_parent_and_the_next_run_mends(feed: Path, alone: Path, tmp_path: Path) -> None:
    process = flatten(feed, tmp_path, 2)
    workers = workers_of(process)
    process.kill()
    process.communicate(timeout=PATIENCE)
    _gone, alive = psutil.wait_procs(workers, timeout=PATIENCE)
    assert alive == []
    finished(flatten(feed, tmp_path, 2))
    assert files_of(tmp_path) == files_of(alone)


@pytest.fixture
def lake(tmp_path: Path) -> LakeUnderTest:
    return LakeUnderTest(tmp_path)


def indexed(lake: LakeUnderTest, raw: bytes) -> Ahead:
    """Return an index made with the present contracts."""
    found, versions, learned = index_early(uncompress(raw, "x"), ContractStore(lake.ledger, lake.settings))
    return Ahead(MadeIndex(found, len(raw), "undelimited"), "", versions, learned)


def is_taken(ahead: Ahead, contracts: ContractStore) -> bool:
    return ahead.is_taken(contracts, "x")


def test_an_index_made_with_an_older_contract_is_not_taken(lake: LakeUnderTest) -> None:
    lake.put(event("e-1"))
    ahead, contracts = indexed(lake, event("e-2")), ContractStore(lake.ledger, lake.settings)
    assert is_taken(ahead, contracts)
    lake.put(event("e-3", {"account_id": "now a text"}), key=f"{HOUR}/b")
    # a landing that read its contracts before would make the same one; one that begins would not
    assert is_taken(ahead, contracts)
    assert not is_taken(ahead, ContractStore(lake.ledger, lake.settings))


def test_an_index_made_with_a_newer_contract_is_taken(lake: LakeUnderTest) -> None:
    lake.put(event("e-1"))
    contracts = ContractStore(lake.ledger, lake.settings)
    contracts.get("pix", "pix_in-1")
    lake.put(event("e-3", {"account_id": "now a text"}), key=f"{HOUR}/b")
    assert is_taken(indexed(lake, event("e-2")), contracts)


def learn(contracts: ContractStore, **payload: object) -> None:
    """Save a contract that has learned from one event."""
    make_index(event("e-9", {"account_id": 7, **payload}), "f", contracts)


def test_new_paths_of_an_earlier_file_change_no_index(lake: LakeUnderTest) -> None:
    lake.put(event("e-1"))
    contracts = ContractStore(lake.ledger, lake.settings)
    known, same, other, a_list = (
        indexed(lake, event("e-2", {"account_id": 7, **payload}))
        for payload in ({}, {"new": 1}, {"new": "text"}, {"items": [1]})
    )
    learn(contracts, new=1, items=[1])
    version = contracts.version("pix", "pix_in-1")
    assert [is_taken(ahead, contracts) for ahead in (known, same, other, a_list)] == [True, True, False, False]
    # none of them taught anything more
    assert contracts.version("pix", "pix_in-1") == version


def test_what_a_worker_learned_is_saved_at_the_turn_of_the_file(lake: LakeUnderTest) -> None:
    lake.put(event("e-1"))
    contracts = ContractStore(lake.ledger, lake.settings)
    ahead = indexed(lake, event("e-2", {"account_id": 7, "new": 1}))
    assert is_taken(ahead, contracts)
    saved = ContractStore(lake.ledger, lake.settings).get("pix", "pix_in-1")
    assert (list(saved.data.fields), contracts.version("pix", "pix_in-1")) == (["account_id", "new"], 2)


def test_a_contract_that_another_run_saves_first_is_learned_again(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.put(event("e-1"))
    contracts = ContractStore(lake.ledger, lake.settings)
    ahead = indexed(lake, event("e-2", {"account_id": 7, "new": 1}))
    save = ContractStore.save

    def save_late(store: ContractStore, name: str) -> bool:
        monkeypatch.undo()
        learn(ContractStore(lake.ledger, lake.settings), other=1)
        return save(store, name)

    monkeypatch.setattr(ContractStore, "save", save_late)
    assert not is_taken(ahead, contracts)
    assert list(contracts.get("pix", "pix_in-1").data.fields) == ["account_id", "other"]


def test_few_earlier_versions_are_kept(lake: LakeUnderTest) -> None:
    lake.put(event("e-1"))
    contracts = ContractStore(lake.ledger, lake.settings)
    first = indexed(lake, event("e-2"))
    for number in range(19):
        learn(contracts, **{f"new{number}": 1})
    assert is_taken(first, contracts)
    learn(contracts, one_more=1)
    assert not is_taken(first, contracts)


@pytest.fixture
def workers(lake: LakeUnderTest) -> Iterator[Workers]:
    with Workers(lake.settings, lake.ledger, 2) as workers:
        yield workers


def raw_of(lake: LakeUnderTest, raw: bytes, name: str = "b", folder: str = HOUR) -> RawFile:
    """Return a file in landing that waits for its index."""
    uri = lake.root / "raws" / name
    uri.parent.mkdir(exist_ok=True)
    uri.write_bytes(raw)
    return RawFile(name, f"{folder}/{name}", len(raw), None, None, str(uri))


def test_only_whole_files_with_little_to_learn_are_indexed_ahead(lake: LakeUnderTest, workers: Workers) -> None:
    lake.put(event("e-1"))
    known, new, zipped = event("e-2"), event("e-3", {"another": 1}), b"PK\x03\x04" + event("e-4")
    # the answer would not fit into the pipe
    very_new = event("e-5", {f"{number}{'x' * 200}": 1 for number in range(299)})
    raws = [raw_of(lake, raw, f"f{number}") for number, raw in enumerate((known, new, zipped, known, very_new, known))]
    (lake.root / "raws" / "f3").write_bytes(b"not what was landed")
    results = [workers.index(raw) for raw in raws]
    taken, learned, unread, damaged, long, again = [result_of(future) for future in results]
    assert taken.index.found.events == again.index.found.events == learned.index.found.events == 1
    assert (unread, damaged, long) == (None, None, None)
    assert [list(each.learned) for each in (taken, learned, again)] == [[], [("pix", "pix_in-1")], []]
    assert workers.index(raw_of(lake, known, "by-hand.json", "nowhere")) is None


def test_one_job_and_small_input_start_nothing(lake: LakeUnderTest) -> None:
    assert Workers(lake.settings, lake.ledger, 1).use_for_input(10**12) is None
    assert Workers(lake.settings, lake.ledger).use_for_input(1_000_000) is None
    asked = Workers(lake.settings, lake.ledger, 2)
    assert asked.use_for_input(1) is asked


def test_who_asks_at_once_shares_the_processes(lake: LakeUnderTest, workers: Workers) -> None:
    lake.put(event("e-1"))
    raw, together = raw_of(lake, event("e-2")), threading.Barrier(8)

    def one(_: int) -> Any:
        together.wait()
        return result_of(workers.index(raw))

    with ThreadPoolExecutor(8) as threads:
        assert all(list(threads.map(one, range(8))))
    assert len(forks_of(psutil.Process())) <= 2


def test_what_a_dead_worker_had_is_done_here(caplog: pytest.LogCaptureFixture) -> None:
    future: Future[None] = Future()
    future.set_exception(BrokenProcessPool())
    assert result_of(future) is None
    assert "this process does its work" in caplog.text


def test_a_file_that_ends_each_process_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    """The kernel may end a process for lack of memory: the first process must not be next."""
    raw = tmp_path / "raw" / HOUR
    raw.mkdir(parents=True)
    for name in ("a", "deadly", "z"):
        (raw / name).write_bytes(event(f"e-{name}"))
    (tmp_path / "sitecustomize.py").write_text(DEADLY, encoding="utf-8")
    command = [sys.executable, "-m", "pismo_lake", "flatten", str(tmp_path / "raw"), "--lake", str(tmp_path / "lake")]
    done = subprocess.run(
        [*command, "--jobs", "2"], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert f"{HOUR}/deadly: {HOUR}/deadly: each process that worked on it ended" in done.stderr
    lake = LakeUnderTest(tmp_path / "reader")
    lake.root = tmp_path
    assert sorted(row["event_id"] for row in lake.rows()) == ["e-a", "e-z"]


DEADLY = """
import os, signal
from pathlib import Path

real = Path.read_bytes

def read_bytes(self):
    # not the first process, which lands the file
    if "lake-landing" in str(self) and self.name == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self)

Path.read_bytes = read_bytes
"""
