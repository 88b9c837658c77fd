"""Files on a disk: durable once they are written, created once, and named in every error."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.lakes import event, find_in_rows

from pismo_lake import storage
from pismo_lake.contracts.store import ContractStore
from pismo_lake.errors import LakeError, StorageError, StorageRefused, StorageUnavailable
from pismo_lake.index.ids import find_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lakes import LakeUnderTest

DATA = b"0123456789" * 20_000


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Record the changes of the disk in their order, and make them."""
    seen: list[tuple[str, str]] = []
    fsync, link, replace, unlink, mkdir = os.fsync, os.link, Path.replace, Path.unlink, Path.mkdir

    def synced(number: int) -> None:
        seen.append(("sync", Path(f"/proc/self/fd/{number}").readlink().name))
        fsync(number)

    def linked(source: Path, target: Path) -> None:
        link(source, target)
        seen.append(("name", target.name))

    def replaced(self: Path, target: Path) -> Path:
        seen.append(("name", Path(target).name))
        return replace(self, target)

    def unlinked(self: Path, missing_ok: bool = False) -> None:
        unlink(self, missing_ok=missing_ok)
        if not self.name.endswith(".tmp"):
            seen.append(("unlink", self.name))

    def made(self: Path, *arguments: object, **options: object) -> None:
        mkdir(self, *arguments, **options)  # type: ignore[arg-type]
        seen.append(("mkdir", self.name))

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    for name, instead in (("replace", replaced), ("unlink", unlinked), ("mkdir", made)):
        monkeypatch.setattr(Path, name, instead)
    return seen


def words(steps: list[tuple[str, str]]) -> list[str]:
    """Return the steps as words; a temporary file is one word."""
    return [f"{step} {'temporary' if name.endswith('.tmp') else name}" for step, name in steps]


@pytest.mark.parametrize("write", [storage.write_atomic, storage.create])
def test_a_name_is_synced_after_the_content(
    tmp_path: Path, steps: list[tuple[str, str]], write: Callable[[str, bytes], object]
) -> None:
    top = tmp_path.name
    write(f"{tmp_path}/a/b/file", b"x")
    folders = ["mkdir a", f"sync {top}", "mkdir b", "sync a"]
    assert words(steps) == [*folders, "sync temporary", "name file", "sync b"]
    steps.clear()
    write(f"{tmp_path}/a/b/other", b"x")
    assert words(steps) == ["sync temporary", "name other", "sync b"]


def test_a_file_that_another_process_created_is_durable_before_it_is_believed(
    tmp_path: Path, steps: list[tuple[str, str]]
) -> None:
    (tmp_path / "file").write_bytes(b"first")
    assert not storage.create(f"{tmp_path}/file", b"second")
    assert words(steps) == ["sync temporary", f"sync {tmp_path.name}"]


def test_what_is_moved_in_is_synced(tmp_path: Path, steps: list[tuple[str, str]]) -> None:
    spooled = tmp_path / "spooled"
    spooled.write_bytes(b"x")
    storage.move_in(spooled, f"{tmp_path}/lake/file")
    assert words(steps) == ["mkdir lake", f"sync {tmp_path.name}", "sync spooled", "name file", "sync lake"]


def test_what_is_removed_stays_removed(tmp_path: Path, steps: list[tuple[str, str]]) -> None:
    (tmp_path / "file").write_bytes(b"x")
    storage.remove(f"{tmp_path}/file")
    storage.remove(f"{tmp_path}/file")
    assert words(steps) == ["unlink file", f"sync {tmp_path.name}"]


def test_what_may_be_lost_costs_no_sync(tmp_path: Path, steps: list[tuple[str, str]]) -> None:
    storage.write_atomic(f"{tmp_path}/a/file", b"x", synced=False)
    assert words(steps) == ["mkdir a", "name file"]


def test_a_folder_that_cannot_be_synced_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def refused(number: int) -> None:
        if Path(f"/proc/self/fd/{number}").readlink().is_dir():
            raise OSError(errno.EINVAL, "as some network file systems answer")
        fsync(number)

    monkeypatch.setattr(os, "fsync", refused)
    assert storage.create(f"{tmp_path}/file", b"x")
    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("links", [True, False])
def test_one_of_many_writers_creates_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:

        def no_links(*_: object) -> None:
            raise OSError(errno.EPERM, "no links on this file system")

        monkeypatch.setattr(os, "link", no_links)
    start = threading.Barrier(8)

    def write(number: int) -> bool:
        start.wait()
        return storage.create(f"{tmp_path}/deep/file", b"%d" % number)

    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(write, range(8)))
    assert created.count(True) == 1
    assert storage.read_bytes(f"{tmp_path}/deep/file") == b"%d" % created.index(True)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]


# --- errors name the file --------------------------------------------------------------------------------------


@contextmanager
def small_disk(path: Path, *options: str) -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    command = ["mount", "-t", "tmpfs", "-o", ",".join(("size=64k", *options)), "tmpfs", str(path)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("write", [storage.write_atomic, storage.create])
def test_a_full_disk(tmp_path: Path, write: Callable[[str, bytes], object]) -> None:
    with small_disk(tmp_path):
        with pytest.raises(StorageUnavailable) as raised:
            write(f"{tmp_path}/events/file", DATA)
        assert str(raised.value) == (
            f"{tmp_path}/events/file cannot be written: No space left on device; free some space on its disk"
        )
        assert not raised.value.permanent
        # nothing of it takes what space there is
        assert list((tmp_path / "events").iterdir()) == []
        write(f"{tmp_path}/events/file", b"small")


def test_a_disk_that_is_read_only(tmp_path: Path) -> None:
    with small_disk(tmp_path):
        storage.write_atomic(f"{tmp_path}/file", b"x")
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
        works: list[Callable[[], object]] = [
            lambda: storage.write_atomic(f"{tmp_path}/file", b"x"),
            lambda: storage.create(f"{tmp_path}/file", b"x"),
            lambda: storage.remove(f"{tmp_path}/file"),
        ]
        for work in works:
            with pytest.raises(StorageRefused, match=f"{tmp_path}/file cannot be .*: Read-only file system") as raised:
                work()
            assert raised.value.permanent
            assert raised.value.uri == f"{tmp_path}/file"


_AS_NOBODY = """
import os, sys
from pismo_lake import storage
from pismo_lake.errors import StorageRefused
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
root = sys.argv[1]
for work in (
    lambda: storage.read_bytes(f"{root}/closed/file"),
    lambda: storage.exists(f"{root}/closed/file"),
    lambda: storage.size(f"{root}/closed/file"),
    lambda: storage.open_for_reading(f"{root}/closed/file"),
    lambda: storage.write_atomic(f"{root}/closed/file", b"x"),
    lambda: storage.create(f"{root}/closed/file", b"x"),
    lambda: storage.remove(f"{root}/closed/file"),
    lambda: list(storage.list_files(root)),
):
    try:
        print("no error", work())
    except StorageRefused as error:
        print(error)
"""


def test_a_missing_right() -> None:
    """An unreadable folder does not count as empty, nor a hidden file as missing."""
    package = Path(storage.__file__).parent
    while package.name != "pismo_lake":
        package = package.parent
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        (root / "closed").mkdir()
        (root / "closed" / "file").write_bytes(b"x")
        (root / "closed").chmod(0)
        command = [sys.executable, "-c", _AS_NOBODY, folder]
        environment = os.environ | {"PYTHONPATH": str(package.parent)}
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        (root / "closed").chmod(0o755)
    lines = done.stdout.splitlines()
    assert len(lines) == 8, done.stderr
    for line in lines[:7]:
        assert line.startswith(f"{folder}/closed/file cannot be "), line
        assert "Permission denied; give the user that runs this the right to it" in line
    assert lines[7].startswith(f"{folder} cannot be listed: Permission denied")


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    uri = f"{tmp_path}/{'n' * 300}"
    for write in (storage.write_atomic, storage.create):
        with pytest.raises(LakeError, match="cannot be written: File name too long"):
            write(uri, b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_a_file_and_of_a_folder(tmp_path: Path) -> None:
    storage.write_atomic(f"{tmp_path}/a", b"x")
    with pytest.raises(LakeError, match="one name in its path is both a file and a folder"):
        storage.write_atomic(f"{tmp_path}/a/b", b"x")
    (tmp_path / "folder").mkdir()
    for write in (storage.write_atomic, storage.create):
        with pytest.raises(LakeError, match="one name in its path is both a file and a folder"):
            write(f"{tmp_path}/folder", b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "folder"]


def test_answers_are_no_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(f"{tmp_path}/none")
    with pytest.raises(IsADirectoryError):
        storage.read_bytes(str(tmp_path))
    assert list(storage.list_files(f"{tmp_path}/none")) == []
    assert not issubclass(StorageError, OSError)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"a": "card 4111111111111111'])
def test_a_damaged_document_is_named(tmp_path: Path, content: bytes) -> None:
    storage.write_atomic(f"{tmp_path}/mark.json", content)
    with pytest.raises(LakeError, match=r"mark\.json is damaged, restore it") as raised:
        storage.read_json(f"{tmp_path}/mark.json")
    assert "4111" not in str(raised.value)


def test_damaged_files_of_the_lake_are_named(lake: LakeUnderTest) -> None:
    """Each kind of file is cut short, and each command that reads it names it."""
    lake.put(event("a", {"amount": 1}))
    lake.close("2026-03-01")
    kinds: dict[str, Callable[[], object]] = {
        "_contracts": lambda: ContractStore(lake.ledger, lake.settings).restore(),
        "events": lambda: find_in_rows(lake.settings, [("event_id", "a")], []),
        "_ids": lambda: [find_ids(uri, "a") for uri in storage.list_files(f"{lake.settings.lake}/_ids")],
    }
    for kind, work in kinds.items():
        uris = [uri for uri in storage.list_files(lake.settings.lake) if f"/{kind}/" in uri]
        assert uris, kind
        for uri in uris:
            content = storage.read_bytes(uri)
            storage.write_atomic(uri, content[: len(content) // 2])
            with pytest.raises(LakeError, match=f"{uri} is damaged"):
                work()
            storage.write_atomic(uri, content)
            work()


def test_hidden_files_are_listed_apart(tmp_path: Path) -> None:
    for name in ("a", ".b.tmp", "deep/c", "deep/.d.tmp"):
        storage.write_atomic(f"{tmp_path}/{name}", b"x")
    assert [Path(uri).name for uri in storage.list_files(str(tmp_path))] == ["a", "c"]
    assert storage.hidden_files(str(tmp_path)) == [".b.tmp", ".d.tmp"]
