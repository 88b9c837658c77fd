"""Test each promise of the storage layer on every store: a disk, S3, Cloud Storage and Azure.

moto serves S3, and emulators serve the other two.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.lakes import event
from tests.stores import KINDS, Place, running_place

from pismo_lake import storage
from pismo_lake.cli.main import main
from pismo_lake.errors import ConfigError, StorageError, StorageRefused
from pismo_lake.paths import SCHEMES
from pismo_lake.storage import registry
from pismo_lake.storage.parquet import parquet_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

LARGE = bytes(range(256)) * 80_000
NAMES = ("ünï/日本 \U0001f4b3", "a b+c=d&e?f#g%25", "quote'\"\\back", "deep/" * 12 + "file")


@pytest.fixture(scope="module", params=KINDS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running_place(request.param, tmp_path_factory.mktemp("store")) as place:
        yield place


@pytest.fixture
def place(served: Place, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Place:
    """Give each test a folder of its own, and connect this process to its store."""
    monkeypatch.setattr(registry, "_STORES", dict(registry._STORES))
    served.configure()
    return replace(served, root=f"{served.root}/{hashlib.sha256(request.node.name.encode()).hexdigest()[:12]}")


def served_bucket(place: Place) -> str:
    """Return the bucket or container of a place."""
    return place.root.split("/")[2]


def below(place: Place, name: str) -> str:
    """Return a name as others in the store know it."""
    return f"{place.root.rpartition('/')[2]}/{name}"


def test_every_scheme_has_a_store() -> None:
    assert set(registry._STORES) == {*SCHEMES, "file"} == {*registry._KINDS, "file"}


# --- writing ---------------------------------------------------------------------------------------------------


def test_a_file_is_written_replaced_and_removed(place: Place) -> None:
    uri = f"{place.root}/deep/folder/file"
    for data in (b"first", b"", b"another, and longer"):
        storage.write_atomic(uri, data)
        assert storage.read_bytes(uri) == data
        assert storage.size(uri) == len(data)
        assert storage.exists(uri)
    storage.write_atomic(uri, memoryview(b"a view"), synced=False)
    assert storage.read_bytes(uri) == b"a view"
    for _ in range(2):
        storage.remove(uri)
        assert not storage.exists(uri)
    assert below(place, "deep/folder/file") not in place.hand.names()


def test_a_file_is_created_once(place: Place) -> None:
    uri = f"{place.root}/raw/file"
    assert storage.is_refused(uri)
    assert storage.create(uri, b"first")
    assert not storage.create(uri, b"second")
    assert storage.read_bytes(uri) == b"first"
    # also if another program wrote it, empty or not
    for name, data in (("empty", b""), ("full", b"theirs")):
        place.hand.put(below(place, f"raw/{name}"), data)
        assert not storage.create(f"{place.root}/raw/{name}", b"ours")
        assert storage.read_bytes(f"{place.root}/raw/{name}") == data
    storage.remove(uri)
    assert storage.create(uri, b"again")
    assert storage.read_bytes(uri) == b"again"


def test_one_of_many_threads_creates_a_file(place: Place) -> None:
    start = threading.Barrier(8)

    def write(number: int) -> bool:
        start.wait()
        return storage.create(f"{place.root}/raced", b"%d" % number)

    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(write, range(8)))
    assert created.count(True) == 1
    assert storage.read_bytes(f"{place.root}/raced") == b"%d" % created.index(True)


CREATING = """
root, mine = sys.argv[3:]
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps([number for number in range(12) if storage.create(f"{root}/raced/{number}", mine.encode())]))
"""


def test_one_of_two_processes_creates_each_file(place: Place) -> None:
    processes = [place.process(CREATING, place.root, str(number)) for number in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    created = [set(eval(process.communicate()[0])) for process in processes]
    assert created[0] | created[1] == set(range(12))
    assert not created[0] & created[1]
    for number, mine in enumerate(created):
        assert {storage.read_bytes(f"{place.root}/raced/{one}") for one in mine} <= {b"%d" % number}


def test_a_large_file_is_moved_in(place: Place, tmp_path: Path) -> None:
    """A store that takes parts gets the file in parts; the second file replaces the first."""
    for data in (LARGE * 2, LARGE):
        path = tmp_path / "spooled"
        path.write_bytes(data)
        storage.move_in(path, f"{place.root}/lake/large")
        assert not path.exists()
        assert storage.size(f"{place.root}/lake/large") == len(data)
        assert hashlib.sha256(storage.read_bytes(f"{place.root}/lake/large")).digest() == hashlib.sha256(data).digest()
    assert list(storage.list_files(f"{place.root}/lake")) == [f"{place.root}/lake/large"]


# --- reading ---------------------------------------------------------------------------------------------------


def test_a_large_file_is_read_whole_and_in_ranges(place: Place) -> None:
    uri = f"{place.root}/large"
    assert storage.create(uri, LARGE)
    assert storage.size(uri) == len(LARGE) == 20_480_000
    assert storage.read_bytes(uri) == LARGE
    for start, end in ((0, 1), (7, 7), (5_000_001, 15_000_003), (len(LARGE) - 3, len(LARGE))):
        assert storage.read_range(uri, start, end) == LARGE[start:end]
    with storage.open_for_reading(uri) as file:
        assert file.read(4) == LARGE[:4]
        file.seek(-5, os.SEEK_END)
        assert file.read() == LARGE[-5:]
        file.seek(12_345_678)
        assert file.tell() == 12_345_678
        assert file.read(1000) == LARGE[12_345_678:12_346_678]


def test_parquet_is_read_through_it(place: Place) -> None:
    table = pa.table({"number": list(range(200_000)), "text": [f"row {number}" for number in range(200_000)]})
    storage.write_atomic(f"{place.root}/t.parquet", parquet_bytes(table, None))
    with storage.open_for_reading(f"{place.root}/t.parquet") as file:
        assert pq.ParquetFile(file).read(["text"]).equals(table.select(["text"]))


def test_a_version_changes_with_the_content(place: Place) -> None:
    uri = f"{place.root}/file"
    storage.write_atomic(uri, b"one")
    size, mark = storage.version(uri)
    assert size == 3
    assert mark
    assert storage.version(uri) == (size, mark)
    storage.write_atomic(uri, b"two")
    assert storage.version(uri) != (size, mark)
    if place.kind != "local":
        # a copy made again is no new version
        storage.write_atomic(uri, b"one")
        assert storage.version(uri) == (size, mark)


def test_a_missing_file_is_an_answer(place: Place) -> None:
    for uri in (f"{place.root}/none", f"{place.root}/no/such/folder/file"):
        assert not storage.exists(uri)
        storage.remove(uri)
        works: list[Callable[[], object]] = [
            lambda: storage.read_bytes(uri), lambda: storage.size(uri), lambda: storage.version(uri),  # noqa: B023
            lambda: storage.read_range(uri, 0, 1), lambda: storage.open_for_reading(uri).read(),  # noqa: B023
            lambda: storage.read_json(uri),  # noqa: B023
        ]  # fmt: skip
        for work in works:
            with pytest.raises(FileNotFoundError):
                work()
        assert list(storage.list_files(uri)) == storage.hidden_files(uri) == []


@pytest.mark.parametrize("served", [kind for kind in KINDS if kind != "local"], indirect=True)
def test_a_missing_bucket_is_no_missing_file(place: Place) -> None:
    bucket, at, host = served_bucket(place).partition("@")
    uri = f"{place.kind}://no-such-{bucket}{at}{host}/folder/file"
    works: list[Callable[[], object]] = [
        lambda: storage.read_bytes(uri), lambda: storage.exists(uri), lambda: storage.size(uri),
        lambda: storage.write_atomic(uri, b"x"), lambda: storage.create(uri, b"x"), lambda: storage.remove(uri),
        lambda: list(storage.list_files(uri)), lambda: storage.open_for_reading(uri).read(),
    ]  # fmt: skip
    for work in works:
        with pytest.raises(StorageRefused, match=f"{uri} cannot be .*check the (bucket|container)'s name") as raised:
            work()
        assert raised.value.permanent
        assert raised.value.uri == uri


# --- names -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_one_file(place: Place, name: str) -> None:
    uri = storage.join(place.root, name)
    if place.kind == "abfss" and "\\" in name:
        with pytest.raises(StorageRefused, match="Azure takes a backslash for a slash"):
            storage.create(uri, b"x")
        assert list(storage.list_files(place.root)) == []
        return
    assert storage.create(uri, name.encode())
    assert not storage.create(uri, b"again")
    with storage.open_for_reading(uri) as file:
        assert storage.read_bytes(uri) == file.read() == name.encode()
    assert list(storage.list_files(place.root)) == [uri]
    assert below(place, name) in place.hand.names()
    storage.remove(uri)
    assert not storage.exists(uri)


@pytest.mark.parametrize("name", ["../out", "a/../../out", "..", "./a", "a/./b"])
def test_a_name_that_leaves_its_folder_is_refused(place: Place, name: str) -> None:
    before = place.hand.names()
    with pytest.raises(StorageRefused, match="leaves this folder"):
        storage.join(place.root, name)
    if place.kind != "local":
        for work in (
            lambda: storage.write_atomic(f"{place.root}/{name}", b"x"),
            lambda: storage.read_bytes(f"{place.root}/{name}"),
        ):
            with pytest.raises(StorageRefused, match="means another folder"):
                work()
    assert place.hand.names() == before


def test_a_folder_is_no_file(place: Place) -> None:
    place.hand.put(below(place, "folder/file"), b"x")
    if place.kind != "local":
        # consoles mark a folder so
        place.hand.put(below(place, "folder/"), b"")
    root = f"{place.root}/folder"
    assert not storage.exists(root)
    with pytest.raises(FileNotFoundError):
        storage.size(root)
    assert list(storage.list_files(root)) == [f"{root}/file"]
    # and a file is no folder, nor is the beginning of a name
    assert list(storage.list_files(f"{root}/file")) == [f"{root}/file"]
    assert list(storage.list_files(f"{place.root}/fold")) == []
    assert list(storage.list_files(f"{root}/")) == [f"{root}/file"]


# --- others write too ------------------------------------------------------------------------------------------


def test_what_others_do_is_seen_at_once(place: Place) -> None:
    root = f"{place.root}/seen"
    assert list(storage.list_files(root)) == []
    storage.write_atomic(f"{root}/a", b"1")
    assert list(storage.list_files(root)) == [f"{root}/a"]
    assert not storage.exists(f"{root}/b")
    place.hand.put(below(place, "seen/b"), b"22")
    assert storage.exists(f"{root}/b")
    assert storage.size(f"{root}/b") == 2
    assert list(storage.list_files(root)) == [f"{root}/a", f"{root}/b"]
    place.hand.put(below(place, "seen/b"), b"longer now")
    assert storage.size(f"{root}/b") == 10
    assert storage.read_range(f"{root}/b", 7, 10) == b"now"
    with storage.open_for_reading(f"{root}/b") as file:
        assert file.read() == b"longer now"
    place.hand.delete(below(place, "seen/a"))
    assert not storage.exists(f"{root}/a")
    assert list(storage.list_files(root)) == [f"{root}/b"]
    place.hand.put(below(place, "seen/deep/.hidden.tmp"), b"")
    assert storage.hidden_files(root) == [".hidden.tmp"]
    assert list(storage.list_files(root)) == [f"{root}/b"]


WRITING = """
for line in sys.stdin:
    work, uri = line.split()
    storage.write_atomic(uri, b"by another process") if work == "write" else storage.remove(uri)
    print("done", flush=True)
"""


def test_another_process_writes_and_removes(place: Place) -> None:
    with place.process(WRITING) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        for round_ in range(3):
            uris = [f"{place.root}/{round_}/{number}" for number in range(3)]
            for work, expected in (("write", uris), ("remove", [])):
                for uri in uris:
                    print(work, uri, file=other.stdin, flush=True)
                    assert other.stdout.readline() == "done\n"
                assert list(storage.list_files(f"{place.root}/{round_}")) == expected
        other.stdin.close()
    assert other.returncode == 0


def test_many_files_are_all_listed(place: Place) -> None:
    """More than a store gives in one answer."""
    names = [f"many/{number:04d}" for number in range(1010)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: place.hand.put(below(place, name), b""), names))
    assert list(storage.list_files(place.root)) == [f"{place.root}/{name}" for name in names]


def test_folders_are_listed_one_level_deep(place: Place) -> None:
    assert storage.list_folders(f"{place.root}/levels") == []
    for name in ("a/file", "b/deep/file", "b/file", "file", "ü b/file"):
        storage.write_atomic(f"{place.root}/levels/{name}", b"x")
    assert storage.list_folders(f"{place.root}/levels") == ["a", "b", "ü b"]
    assert storage.list_folders(f"{place.root}/levels/") == ["a", "b", "ü b"]
    assert storage.list_folders(f"{place.root}/levels/a") == []
    assert storage.list_folders(f"{place.root}/levels/file") == []


def test_a_gate_is_passed_before_a_file_appears_or_disappears(place: Place, tmp_path: Path) -> None:
    uri, passed = f"{place.root}/gate/file", list[bool]()

    @contextmanager
    def gate() -> Iterator[None]:
        passed.append(storage.exists(uri))
        yield

    @contextmanager
    def closed() -> Iterator[None]:
        raise PermissionError
        yield

    local = tmp_path / "local"
    local.write_bytes(b"other")
    with pytest.raises(StorageError):
        storage.write_atomic(uri, b"x", gate=closed)
    storage.write_atomic(uri, b"x", gate=gate)
    with pytest.raises(StorageError):
        storage.remove(uri, gate=closed)
    storage.remove(uri, gate=gate)
    assert passed == [False, True]
    if storage.is_local(uri):
        # a rename needs one file system
        return
    storage.move_in(local, uri, gate=gate)
    assert (storage.read_bytes(uri), passed) == (b"other", [False, True, False])


# --- the lake in it --------------------------------------------------------------------------------------------


DAY = "2026-03-01"
SECRET = "document-123.456.789-09"


def digests(lake: str) -> dict[str, str]:
    """Return the SHA-256 of every file of events, rejects and ids by its path.

    These files depend on the raw files alone.
    """
    uris = (uri for folder in ("events", "rejects", "_ids") for uri in storage.list_files(f"{lake}/{folder}"))
    return {uri.removeprefix(lake): hashlib.sha256(storage.read_bytes(uri)).hexdigest() for uri in uris}


def test_every_command_does_in_a_store_as_on_a_disk(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After all commands, with erased bytes and a ledger made again, the lakes are the same."""
    raw = tmp_path / "raw" / "main_stream/2026/3/1"
    for hour, body in (
        (12, event("a", {"amount": 1, "who": SECRET}) + event("b", {"amount": 2})),
        (13, event("a", {"amount": 1, "who": SECRET}) + b"no event" + event("c", {"amount": 3, "who": SECRET})),
    ):
        (raw / str(hour)).mkdir(parents=True)
        (raw / str(hour) / "file").write_bytes(body)
    disk = Place("local", str(tmp_path / "disk"), place.hand, {})

    def both(*words: str, status: int = 0) -> list[str]:
        answers = []
        for number, one in enumerate((disk, place)):
            ledger = f"sqlite:///{tmp_path}/ledger{number}.db"
            options = ["--lake", f"{one.root}/lake", "--landing", f"{one.root}/landing", "--ledger", ledger]
            assert main([*words, *options]) == status, capsys.readouterr().err
            answers.append(capsys.readouterr().out.replace(one.root, "ROOT"))
        assert digests(f"{disk.root}/lake") == digests(f"{place.root}/lake") != {}
        return answers

    both("flatten", str(tmp_path / "raw"), "--jobs", "1")
    assert both("flatten", str(tmp_path / "raw"), "--jobs", "1")[1].count("2 known") == 1
    closed = both("close", "--date", DAY)
    assert closed[0] == closed[1]
    assert len([uri for uri in storage.list_files(f"{place.root}/lake/reports") if DAY in uri]) == 3
    assert [SECRET in answer for answer in both("show", "a")] == [True, True]
    tables = both("ddl", "--dialect", "duckdb")
    assert tables[0] == tables[1]
    assert "ROOT/lake/events" in tables[1]
    both("report", "--date", DAY)
    both("erase", "--where", f"data__who={SECRET}", "--raw", "--reference", "ticket 1")
    # nothing that the project wrote has the value any more
    for uri in storage.list_files(place.root):
        assert SECRET.encode() not in storage.read_bytes(uri), uri
    shown = both("show", "b")
    assert shown[0] == shown[1]
    assert not any(SECRET in answer for answer in both("show", "a"))
    for number in range(2):
        (tmp_path / f"ledger{number}.db").unlink()
    both("ledger", "rebuild")
    both("close", "--date", DAY)
    for uri in storage.list_files(f"{place.root}/lake/events"):
        with storage.open_for_reading(uri) as file:
            assert pq.ParquetFile(file).read(["event_id"]).column(0).to_pylist() == ["b"]


@pytest.mark.parametrize("served", ["gs"], indirect=True)
def test_without_airflow_the_machines_own_settings_are_used(place: Place, tmp_path: Path) -> None:
    """On the command line, Google's client finds credentials, or an emulator, by itself."""
    (tmp_path / "raw").write_bytes(event("a", {"amount": 1}))
    command = [
        sys.executable, "-m", "pismo_lake", "flatten", str(tmp_path / "raw"), "--publish-hour", "2026-03-01T12",
        "--lake", f"{place.root}/lake", "--ledger", f"sqlite:///{tmp_path}/ledger.db", "--jobs", "1",
    ]  # fmt: skip
    variables = {"STORAGE_EMULATOR_HOST": place.options["api_endpoint"], "GOOGLE_CLOUD_PROJECT": "our-project"}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | variables, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list(storage.list_files(f"{place.root}/lake/events"))) == 1
    nobody = {"HOME": str(tmp_path), "NO_GCE_CHECK": "true", "GOOGLE_CLOUD_PROJECT": "our-project"}
    alone = subprocess.run(command, capture_output=True, text=True, env=os.environ | nobody, check=False)
    assert alone.returncode == 1
    assert re.search(
        r"StorageRefused: gs://.* cannot be .*: DefaultCredentialsError: .*check the credentials", alone.stderr
    )


def test_a_scheme_without_a_store_is_named() -> None:
    for uri in ("wasbs://container@account/lake/file", "gcs://bucket/lake/file", "memory://lake/file", "ftp://host/x"):
        for work in (lambda: storage.read_bytes(uri), lambda: storage.create(uri, b"x")):  # noqa: B023
            with pytest.raises(ConfigError, match=f"{uri.partition('://')[0]}:// is no store"):
                work()
