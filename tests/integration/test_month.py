"""Land, build and close days of hundreds of files with processes that are killed often.

PISMO_FEED_DAYS=30 makes it a month of 5,100 files (`make soak`). The order is random, and work runs in parallel. The
lake has exactly the published events, and closing every day once more changes no byte.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import LakeUnderTest, event
from tests.waiting import PATIENCE

from pismo_lake.decode.envelope import parse_exact
from pismo_lake.decode.exact_json import dumps
from pismo_lake.hours import PublishDay
from pismo_lake.report.reconcile import reconcile
from pismo_sandbox.check.truth import Copy, Truth
from pismo_sandbox.check.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.slow]
DAYS = int(os.environ.get("PISMO_FEED_DAYS", "6"))
FILES, WORKERS, KILLS = 170 * DAYS, 3, DAYS + 10
START = datetime(2026, 3, 1, tzinfo=UTC)

WORKER = """
import os, random, sys, time
from pathlib import Path
sys.path[:0] = sys.argv[4].split(os.pathsep)
import pismo_lake.build.heartbeat as heartbeat
heartbeat.QUIET_SECONDS = 1.0
heartbeat.BEAT_SECONDS = 0.2
from tests.lakes import LakeUnderTest
from pismo_lake.errors import PismoError

root, source, rng = Path(sys.argv[1]), Path(sys.argv[2]), random.Random(int(sys.argv[3]))
lake = LakeUnderTest(root)
days = sorted({"2026-03-%02d" % int(path.name) for path in (source / "main_stream/2026/3").iterdir()})
keys = sorted(str(path.relative_to(source)) for path in source.rglob("*") if path.is_file())
while True:
    missing = sorted(set(keys) - set(lake.files.find_known(keys)))
    if not missing:
        break
    some = rng.sample(missing, min(len(missing), 150))
    try:
        lake.land({key: (source / key).read_bytes() for key in some})
        todo = rng.random()
        if todo < 0.3:
            units = lake.files.unbuilt_units()
            lake.build(rng.sample(units, min(len(units), 12)))
        elif todo < 0.6:
            lake.close(rng.choice(days))
    except PismoError as error:
        print(type(error).__name__, error, flush=True)
"""


def published(source: Path, truth: Truth) -> None:
    """Return files at random moments of the month, with odd names, late copies and damage."""
    rng = random.Random(30)
    recent: list[tuple[int, bytes]] = []
    for number in range(FILES):
        hour = number * DAYS * 24 // FILES
        moment = START + timedelta(hours=hour)
        key = f"main_stream/{moment.year}/{moment.month}/{moment.day}/{moment.hour}/{rng.getrandbits(40):010x}"
        chunks = []
        for place in range(rng.randint(1, 4)):
            at = moment - timedelta(minutes=rng.choice((3, 3, 3, 3, rng.randrange(72 * 60))))
            kind: dict[str, Any] = rng.choice(({}, {"domain": "cards", "event_type": "update-1"}))
            data = {"amount": rng.randrange(10**6) / 100, "n": number, "place": place}
            chunks.append(event(f"{rng.getrandbits(64):016x}", data, timestamp=at.isoformat(), **kind))
        recent = [(since, text) for since, text in recent if hour - since <= 144]
        if recent and rng.random() < 0.15:
            chunks.append(rng.choice(recent)[1])
        if rng.random() < 0.1:
            recent.append((hour, chunks[0]))
        offset, copies, rejects = 0, [], []
        for text in chunks:
            parsed = parse_exact(text)
            where = (f"{moment:%Y-%m-%dT%H}", key, offset, len(text))
            copies.append(Copy(parsed["org_id"], parsed["event_id"], *where, dumps(parsed["data"]), text))
            offset += len(text)
        if rng.random() < 0.02:
            rejects.append((offset, 20, "truncated"))
            chunks.append(chunks[0][:20])
        path = source / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(chunks))
        truth.add_file(key, f"{moment:%Y-%m-%dT%H}", path.stat().st_size, copies, rejects)


def run_and_kill(root: Path, source: Path) -> int:
    """Run workers in parallel, kill and restart them until all is landed; return the kills."""
    rng, kills, seed = random.Random(7), 0, 0
    workers: dict[int, subprocess.Popen[bytes]] = {}
    log = (root / "workers.log").open("wb")
    path = os.pathsep.join(["include", "plugins", "."])
    landed, end = -1, 0.0
    while True:
        now = sum(path.is_file() for path in (root / "landing").rglob("*"))
        if now != landed:
            landed, end = now, time.monotonic() + PATIENCE
        for place in range(WORKERS):
            worker = workers.get(place)
            if worker is None or worker.poll() not in {None, 0}:
                assert worker is None or worker.returncode == -signal.SIGKILL, (root / "workers.log").read_text()[
                    -2000:
                ]
                seed += 1
                command = [sys.executable, "-c", WORKER, str(root), str(source), str(seed), path]
                workers[place] = subprocess.Popen(command, stdout=log, stderr=log)
        if all(worker.poll() == 0 for worker in workers.values()):
            log.close()
            return kills
        assert time.monotonic() < end, (root / "workers.log").read_text()[-2000:]
        time.sleep(rng.uniform(0.3, 2.0))
        victim = rng.choice(list(workers.values()))
        if kills < KILLS and victim.poll() is None:
            victim.kill()
            victim.wait()
            kills += 1


def test_a_month_survives_any_order_and_any_kill(tmp_path: Path) -> None:
    source, root = tmp_path / "source", tmp_path / "lake"
    root.mkdir()
    truth = Truth(tmp_path / "truth.db")
    published(source, truth)
    assert run_and_kill(root, source) >= 5
    lake = LakeUnderTest(root)
    days = [f"2026-03-{day:02d}" for day in range(1, DAYS + 1)]
    random.Random(2).shuffle(days)
    for day in days:
        lake.close(day)
    lake.build()
    assert lake.files.unbuilt_units() == []
    found = verify(root / "lake", truth)
    assert found.problems == []
    reports = [reconcile(lake.settings, lake.ledger, PublishDay.parse(day)) for day in days]
    assert [total for report in reports for total in report.totals if total.difference] == []
    assert sum(report.files for report in reports) == FILES
    assert sum(report.rows for report in reports) == found.events
    assert sum(report.duplicates for report in reports) > 5 * DAYS

    names = [path for path in (root / "lake").rglob("*.parquet") if path.is_file()]
    assert not [path for path in names if "T" in path.name.split("-p")[0].removeprefix("test-")]
    units = [(path.parent, path.name.split("-p")[0]) for path in names]
    assert len(units) == len(set(units))
    before = lake.digest()
    for day in days:
        assert lake.close(day).parts_built == 0
    assert lake.digest() == before
    truth.close()
