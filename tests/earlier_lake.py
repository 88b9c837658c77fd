"""Make an archive of a small lake, with its landing, its ledger, and files for later.

Make one at a release, so that later releases are tested with it:

    .venv/bin/python tests/earlier_lake.py tests/fixtures/earlier_lake_0.1.tar.gz

Only commands are called. The ledger is a SQL dump, and `ROOT` in it is the folder of the lake.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path

ROOT = "/root-of-the-earlier-lake"
REPOSITORY = Path(__file__).parents[1]
CLOSED, OPEN = "2024-03-01", "2024-03-02"

DELIVERIES = f"""\
deliveries:
  earlier:
    organisation: TN-1
    environment: sandbox
    channel: gcs
    conn_id: none
    source: {{bucket: none}}
    landing: {ROOT}/landing
    lake: {ROOT}/lake
    ledger_url: sqlite:///{ROOT}/ledger.db
    contracts:
      child_tables: ["**/lines"]
"""


def event(event_id: str, hour: str, number: int | str = 1) -> bytes:
    """Return an event with a list, a decimal and a value that later becomes one."""
    body = {
        "event_id": event_id,
        "domain": "pix",
        "event_type": "pix_in",
        "schema_version": 1,
        "org_id": "TN-1",
        "cid": "c-1",
        "timestamp": f"{hour}:10:00.000Z",
        "data": {"account_id": 7, "n": number, "lines": [{"value": 2.5}, {"value": None}], "payer": {"name": "José"}},
    }
    return json.dumps(body, ensure_ascii=False).encode()


def key(hour: str, name: str) -> Path:
    """Return the path of a file in the folder of its publish hour."""
    year, month, rest = hour.split("-")
    day, hour_of_day = rest.split("T")
    return Path("main_stream", year, str(int(month)), str(int(day)), str(int(hour_of_day)), name)


CLOSED_FILES = {
    key(f"{CLOSED}T09", "a"): event("closed-1", f"{CLOSED}T09") + event("closed-2", f"{CLOSED}T09"),
    key(f"{CLOSED}T10", "a"): event("closed-3", f"{CLOSED}T10") + event("erased-1", f"{CLOSED}T10"),
    key(f"{CLOSED}T11", "a"): event("closed-1", f"{CLOSED}T09") + b'{"event_id": ' + event("closed-4", f"{CLOSED}T11"),
}
AFTER_CLOSE = {
    key(f"{CLOSED}T12", "late"): event("late-1", f"{CLOSED}T12"),
    key(f"{OPEN}T10", "a"): event("open-1", f"{OPEN}T10") + event("closed-2", f"{CLOSED}T09"),
    key(f"{OPEN}T10", "b"): event("open-2", f"{OPEN}T10") + event("open-2", f"{OPEN}T10", "changed"),
}
SECOND_VERSION = {key(f"{OPEN}T10", "b"): event("open-2", f"{OPEN}T10") + event("open-3", f"{OPEN}T10")}
WAITING = {key(f"{OPEN}T11", "a"): event("waiting-1", f"{OPEN}T11") + event("open-1", f"{OPEN}T10")}
NEXT = {
    # a copy that wins over one in a built hour, one that loses, one of an erased event, and a number with a fraction
    key(f"{CLOSED}T08", "later"): event("open-3", f"{OPEN}T10") + event("next-1", f"{CLOSED}T08"),
    key(f"{OPEN}T12", "a"): event("closed-3", f"{CLOSED}T10") + event("erased-1", f"{CLOSED}T10"),
    key(f"{OPEN}T12", "b"): event("next-2", f"{OPEN}T12").replace(b'"n": 1', b'"n": 1.5'),
}
PACKED_IDS = ["closed-1", "closed-2", "closed-3", "closed-4", "late-1", "open-1", "open-2", "open-3"]
WAITING_IDS = ["waiting-1"]
NEXT_IDS = ["next-1", "next-2"]


def write(folder: Path, files: dict[Path, bytes]) -> Path:
    """Write files below a folder and return it."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def run(root: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of `pismo_lake` on the lake that is in a folder."""
    options = ["--deliveries", str(root / "deliveries.yaml"), "--delivery", "earlier"]
    paths = os.pathsep.join([str(REPOSITORY / "include"), str(REPOSITORY / "plugins")])
    call = [sys.executable, "-m", "pismo_lake", *map(str, arguments), *options]
    return subprocess.run(call, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths})


def place(archive: Path, root: Path) -> None:
    """Unpack an archive into a folder, with a ledger and deliveries file that name this folder."""
    with tarfile.open(archive) as packed:
        packed.extractall(root, filter="data")
    deliveries, dump = root / "deliveries.yaml", root / "ledger.sql"
    deliveries.write_text(deliveries.read_text(encoding="utf-8").replace(ROOT, str(root)), encoding="utf-8")
    with closing(sqlite3.connect(root / "ledger.db")) as ledger:
        ledger.executescript(dump.read_text(encoding="utf-8").replace(ROOT, str(root)))
    dump.unlink()


def make(root: Path) -> None:
    """Make the lake: a closed day, a late file, open hours, an erasure, a file without index."""
    (root / "deliveries.yaml").write_text(DELIVERIES.replace(ROOT, str(root)), encoding="utf-8")
    _do(root, "flatten", write(root / "feed-1", CLOSED_FILES))
    _do(root, "close", "--date", CLOSED)
    _do(root, "erase", "--event-id", "erased-1", "--reference", "ticket 1", "--raw")
    _do(root, "flatten", write(root / "feed-2", AFTER_CLOSE))
    _do(root, "flatten", write(root / "feed-3", SECOND_VERSION))
    # a file in the place of the folder of the index: the file is landed, and its index cannot be written
    (path,) = WAITING
    blocked = root / "landing" / "earlier" / "_index" / path.parent
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.touch()
    _do(root, "flatten", write(root / "feed-4", WAITING), code=1)
    blocked.unlink()


def _do(root: Path, *arguments: str | Path, code: int = 0) -> None:
    done = run(root, *arguments)
    if done.returncode != code:
        msg = f"{arguments}: {done.stdout}{done.stderr}"
        raise RuntimeError(msg)
    print(done.stdout, done.stderr)


def pack(root: Path, archive: Path) -> None:
    """Pack the lake that is in a folder."""
    with closing(sqlite3.connect(root / "ledger.db")) as ledger:
        dump = "\n".join(ledger.iterdump()).replace(str(root), ROOT)
    (root / "deliveries.yaml").write_text(DELIVERIES, encoding="utf-8")
    for page in (root / "lake" / "reports").rglob("*.html"):
        page.unlink()
    with tarfile.open(archive, "w:gz") as packed:
        for name in ("deliveries.yaml", "landing", "lake"):
            packed.add(root / name, name)
        entry = tarfile.TarInfo("ledger.sql")
        entry.size = len(dump.encode())
        packed.addfile(entry, io.BytesIO(dump.encode()))


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp())
    make(folder)
    pack(folder, Path(sys.argv[1]))
    shutil.rmtree(folder)
