"""The same feed and settings give the recorded Parquet files, byte for byte.

If a change must alter the files, record the hashes again and review the difference in the fixture:

    PISMO_RECORD_SAME_LAKE=1 scripts/test tests/unit/test_same_lake.py

Only commands are called, so that the comparison does not depend on the names of modules.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
import zlib
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "fixtures" / "same_lake.json"
RECORD = bool(os.environ.get("PISMO_RECORD_SAME_LAKE"))

DAY = "2024-03-01"
FEED = ["--end", "2024-03-02T01:00:00Z", "--hours", "2", "--mb", "0.4", "--seed", "17", "--everything"]
LATE_FEED = ["--end", "2024-03-02T00:00:00Z", "--hours", "0.25", "--mb", "0.1", "--seed", "12", "--everything"]
KEY = "k1:a secret of some length"

DELIVERIES = """\
deliveries:
  tables:
    organisation: TN-1
    environment: sandbox
    channel: gcs
    conn_id: none
    source: {bucket: none}
    landing: LANDING
    lake: LAKE
    ledger_url: sqlite:///LEDGER
    part_bytes: 40000
    target_bytes: 20000
    event_date_zone: America/Sao_Paulo
    contracts:
      modes: {"audit/*": freeze, "future-domain/*": discard}
      json_paths: ["**/raw_response"]
      child_tables: ["**"]
    privacy: policy.yaml
    privacy_key_conn_id: none
"""
POLICY = """\
card_numbers: mask
rules:
  - {path: "**/account_id", action: hash}
  - {path: "**/roles", action: drop, event: "audit/**"}
  - {path: "**/*date*", action: year}
"""


def run(module: str, *arguments: str | Path, **environment: str) -> None:
    """Run a command of the checkout."""
    call = [sys.executable, "-m", module, *map(str, arguments)]
    paths = os.pathsep.join([str(ROOT / "include"), str(ROOT / "plugins")])
    done = subprocess.run(
        call, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths, **environment}
    )
    assert done.returncode == 0, f"{call}\n{done.stdout}{done.stderr}"


def stored(plain: bytes) -> bytes:
    """Return a gzip member that holds the bytes uncompressed."""
    blocks = [plain[at : at + 0xFFFF] for at in range(0, len(plain), 0xFFFF)] or [b""]
    body = b"".join(
        struct.pack("<BHH", at == len(blocks) - 1, len(block), len(block) ^ 0xFFFF) + block
        for at, block in enumerate(blocks)
    )
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + body + struct.pack("<II", zlib.crc32(plain), len(plain))


def without_deflate(raw: bytes) -> bytes:
    """Return gzip members as stored ones: the lake has hashes of raw bytes, but zlibs differ."""
    members = []
    while raw:
        unpacker = zlib.decompressobj(wbits=31)
        members.append(stored(unpacker.decompress(raw)))
        raw = unpacker.unused_data
    return b"".join(members)


def generate(folder: Path, options: list[str]) -> Path:
    """Generate a feed and return the folder of its files."""
    run("pismo_sandbox", "generate", "--out", folder, *options)
    for path in (folder / "raw").rglob("*"):
        if path.is_file() and (raw := path.read_bytes()).startswith(b"\x1f\x8b"):
            path.write_bytes(without_deflate(raw))
    return folder / "raw"


def digests(root: Path, pattern: str = "*.parquet") -> dict[str, str]:
    """Return counts of files by folder of the second level, and a SHA-256 of their contents.

    Reports in JSON and HTML are left out: they name times of landing and folders of the machine.
    """
    lines = defaultdict(list)
    for path in sorted(path for path in root.rglob(pattern) if path.is_file()):
        below = path.relative_to(root)
        # the folder of an event type, so that an error names the event type
        folder = "/".join(below.parts[: 3 if below.parts[0] in {"events", "items"} else 1])
        lines[folder].append(f"{below.as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n")
    return {name: f"{len(each)} {hashlib.sha256(''.join(each).encode()).hexdigest()}" for name, each in lines.items()}


def compare(name: str, found: dict[str, str]) -> None:
    """Compare with the recorded digests, or record them if that is asked for."""
    recorded = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}
    if RECORD:
        recorded |= {"pyarrow": pa.__version__, name: found}
        RECORDED.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return
    # another version of pyarrow may write the same rows as other bytes
    assert recorded["pyarrow"] == pa.__version__, "the hashes are of another version of pyarrow: record them anew"
    wanted = recorded[name]
    differing = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
    assert differing == [], f"{name}: these folders hold other files than were recorded"


@pytest.fixture(autouse=True)
def recording() -> Iterator[None]:
    """Pass no test that has only recorded."""
    yield
    if RECORD:
        pytest.skip(f"recorded in {RECORDED}")


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("feed"), FEED)


def test_the_feed_is_the_recorded_one(feed: Path) -> None:
    compare("feed", digests(feed, "pismo-*"))


def test_hours_a_closed_day_and_a_late_file(tmp_path: Path, feed: Path) -> None:
    lake = tmp_path / "lake"
    run("pismo_lake", "flatten", feed, "--lake", lake)
    compare("hours", digests(lake))
    run("pismo_lake", "close", "--date", DAY, "--lake", lake)
    compare("closed", digests(lake))
    late = generate(tmp_path / "late", LATE_FEED)
    run("pismo_lake", "flatten", late, "--lake", lake)
    compare("late", digests(lake))
    run("pismo_lake", "close", "--date", DAY, "--lake", lake)
    compare("closed again", digests(lake))


def test_two_processes_write_what_one_writes(tmp_path: Path, feed: Path) -> None:
    lake = tmp_path / "another folder" / "lake"
    run("pismo_lake", "flatten", feed, "--jobs", "2", "--lake", lake)
    compare("hours", digests(lake))


def test_child_tables_small_parts_a_time_zone_and_a_policy_of_ones_own(tmp_path: Path, feed: Path) -> None:
    text = DELIVERIES
    for name, place in {"LANDING": "landing", "LAKE": "lake", "LEDGER": "ledger.db"}.items():
        text = text.replace(name, str(tmp_path / place))
    (tmp_path / "deliveries.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    which = ("--deliveries", tmp_path / "deliveries.yaml", "--delivery", "tables")
    run("pismo_lake", "flatten", feed, *which, PISMO_PRIVACY_KEY=KEY)
    compare("tables", digests(tmp_path / "lake"))
    run("pismo_lake", "close", "--date", DAY, *which, PISMO_PRIVACY_KEY=KEY)
    compare("tables closed", digests(tmp_path / "lake"))


def test_the_strict_policy(tmp_path: Path, feed: Path) -> None:
    lake = tmp_path / "lake"
    run("pismo_lake", "flatten", feed, "--lake", lake, "--privacy", "strict", PISMO_PRIVACY_KEY=KEY)
    compare("strict", digests(lake))
