"""Make the lake that pages are drawn from: some days of the look-alike's events, with all kinds of damage."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NOW = datetime(2026, 3, 5, 10, 20, tzinfo=UTC)
"""The time at which the pages are looked at."""
FEED = ("--end", "2026-03-05T10:00:00Z", "--hours", "82", "--mb", "1.2", "--seed", "7", "--everything")
CLOSED = ("2026-03-01", "2026-03-02", "2026-03-04")
"""The days that are closed; of 3 March an hour is lost, and the day is left open."""
DONE = "done"
PAST_DAYS = 75
EMPTY = frozenset({10, 38, 39})
"""Days before 1 March without files."""
WRONG = frozenset({5, 27, 52})
"""Days before 1 March that are incomplete."""
CHECKS = (
    ("listing", "pass", "6 event file(s) in the last six hours", ""),
    ("reading an event file", "pass", "main_stream/2026/3/5/9/pismo-main-1-2026-03-05-09-55-00", ""),
    ("ledger", "pass", "open, 0 publish hour(s) or day(s) wait to be built", ""),
    ("lake writable", "pass", "the lake", ""),
    (
        "privacy", "optional", "none: columns hold what Pismo sends",
        "if people read the lake who may not see cards and names: privacy: strict, see docs/how-to/privacy.md",
    ),
)  # fmt: skip
LATE = "2026-03-03T02:41:00+00:00"
_AFTER_HOUR = "strftime('%Y-%m-%dT%H:%M:%S+00:00', publish_hour || ':00:00', '+1 hour', '+' || ({}) || ' minutes')"
TIMINGS = {
    "build_seconds": 41.5, "build_mb_per_second": 18.2, "landed_after_p50_seconds": 488.0,
    "landed_after_p95_seconds": 840.0, "landed_after_max_seconds": 902.0,
}  # fmt: skip
DELIVERIES = """\
deliveries:
  cards_production:
    organisation: TN-00000000-1111-4222-8333-444444444444
    environment: production
    channel: gcs
    conn_id: none
    source: {bucket: none}
    landing: landing
    lake: lake
    ledger_url: sqlite:///LEDGER
  cards_sandbox:
    organisation: TN-00000000-1111-4222-8333-444444444444
    environment: sandbox
    channel: gcs
    conn_id: none
    source: {bucket: none}
    landing: landing
    lake: lake
    ledger_url: sqlite:///LEDGER
"""


def make_page_lake(folder: Path) -> Path:
    """Make the lake in an empty folder; return its deliveries file."""
    folder.mkdir(parents=True, exist_ok=True)
    deliveries = folder / "deliveries.yaml"
    text = DELIVERIES.replace("LEDGER", str(folder / "ledger.db"))
    deliveries.write_text(
        text.replace("landing: landing", f"landing: {folder}/landing").replace("lake: lake", f"lake: {folder}/lake")
    )
    _run("pismo_sandbox", "generate", "--out", str(folder), *FEED)
    raw = folder / "raw"
    _lose(raw)
    which = ("--deliveries", str(deliveries), "--delivery", "cards_production")
    _run("pismo_lake", "flatten", str(raw), "--jobs", "1", *which)
    _run("pismo_lake", "close", *(word for day in CLOSED for word in ("--date", day)), *which)
    _settle(folder)
    _examine(folder / "lake" / "_doctor" / "cards_production.json")
    return deliveries


def shared_page_lake(base: Path) -> Path:
    """Return the deliveries file of a lake that processes share, made by the first of them; nobody changes it."""
    base.mkdir(parents=True, exist_ok=True)
    with (base / "page-lake.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = base / "page-lake"
        if not (made / DONE).exists():
            shutil.rmtree(made, ignore_errors=True)
            make_page_lake(made)
            (made / DONE).touch()
    return made / "deliveries.yaml"


def _examine(file: Path) -> None:
    """Write the last checks of the doctor, as its DAG keeps them."""
    names = ("name", "state", "seen", "advice")
    file.parent.mkdir()
    document = {
        "checked_at": "2026-03-05T08:02:00+00:00",
        "checks": [dict(zip(names, each, strict=True)) for each in CHECKS],
    }
    file.write_text(json.dumps(document))


def _settle(folder: Path) -> None:
    """Give the ledger the times and runs of a lake in use, and a past: days that are like one of the feed.

    So the pages do not depend on the time at which the lake is made.
    """
    with closing(sqlite3.connect(folder / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE pismo_files SET run = 'pismo_ingest_cards_production scheduled__' || publish_hour")
        ledger.execute(f"UPDATE pismo_files SET published_at = {_AFTER_HOUR.format('1 + id % 4')}")
        ledger.execute(f"UPDATE pismo_files SET landed_at = {_AFTER_HOUR.format('6 + id % 11')}")
        ledger.execute(
            "UPDATE pismo_files SET landed_at = ? WHERE name = ?", (LATE, _first_name(ledger, "2026-03-02T21"))
        )
        ledger.execute("UPDATE pismo_contract_changes SET seen_at = '2026-03-02T04:10:00+00:00'")
        closing_run = "'pismo_close_cards_production scheduled__' || unit"
        done = "date(unit, '+1 day') || 'T04:02:00+00:00'"
        ledger.execute(f"UPDATE pismo_builds SET run = {closing_run}, built_at = {done} WHERE length(unit) = 10")
        hourly = "'pismo_ingest_cards_production scheduled__' || unit"
        done = "substr(unit, 1, 10) || 'T' || substr(unit, 12, 2) || ':20:00+00:00'"
        ledger.execute(f"UPDATE pismo_builds SET run = {hourly}, built_at = {done} WHERE length(unit) = 13")
        _settle_reports(folder)
        model = json.loads((folder / "lake/reports/publish_date=2026-03-02/cards_production.json").read_text())
        for back in range(1, PAST_DAYS + 1):
            if back not in EMPTY:
                _remember(ledger, folder, model, back)


def _settle_reports(folder: Path) -> None:
    """Give the written reports times that do not depend on the machine."""
    for path in (folder / "lake" / "reports").rglob("cards_production.json"):
        report = json.loads(path.read_text())
        path.write_text(json.dumps(report | {"timings": TIMINGS, "listed": "listed"}))


def _first_name(ledger: sqlite3.Connection, hour: str) -> str:
    query = "SELECT name FROM pismo_files WHERE publish_hour = ? ORDER BY name LIMIT 1"
    return str(ledger.execute(query, (hour,)).fetchone()[0])


def _remember(ledger: sqlite3.Connection, folder: Path, model: dict[str, Any], back: int) -> None:
    """Add a past day to the ledger, and its report to the lake."""
    day = (datetime(2026, 3, 1, tzinfo=UTC) - timedelta(days=back)).date().isoformat()
    columns = [row[1] for row in ledger.execute("PRAGMA table_info(pismo_files)") if row[1] != "id"]
    moved = {
        "publish_hour": f"'{day}' || substr(publish_hour, 11)", "name": f"name || '{back}'", "key": f"key || '{back}'"
    }  # fmt: skip
    values = ", ".join(moved.get(name, name) for name in columns)
    of_day = "publish_hour LIKE '2026-03-02T%'"
    ledger.execute(f"INSERT INTO pismo_files ({', '.join(columns)}) SELECT {values} FROM pismo_files WHERE {of_day}")
    columns = [row[1] for row in ledger.execute("PRAGMA table_info(pismo_builds)")]
    moved = {"unit": f"'{day}'", "built_at": f"date('{day}', '+1 day') || 'T04:02:00+00:00'", "outputs": "'[]'"}
    values = ", ".join(moved.get(name, name) for name in columns)
    ledger.execute(f"INSERT INTO pismo_builds SELECT {values} FROM pismo_builds WHERE unit = '2026-03-02'")
    wrong = back in WRONG
    document = model | {"publish_date": day, "verdict": "incomplete" if wrong else "complete"}
    document["reasons"] = ["1 publish hour(s) without files although the usual rhythm has some"] if wrong else []
    report = folder / f"lake/reports/publish_date={day}/cards_production.json"
    report.parent.mkdir(parents=True)
    report.write_text(json.dumps(document))


def _lose(raw: Path) -> None:
    """Remove the files of some hours, so that the feed has silent hours."""
    for path in sorted((raw / "main_stream").rglob("*")):
        if path.is_file() and any(f"/{hour}/" in f"{path}/" for hour in ("2026/3/4/13", "2026/03/04/13")):
            path.unlink()


def _run(module: str, *arguments: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PISMO_")}
    environment["PYTHONPATH"] = f"{ROOT / 'include'}{os.pathsep}{ROOT / 'plugins'}"
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    # a close of an incomplete day says so by its return code
    assert done.returncode in {0, 1}, done.stdout[-2000:] + done.stderr[-2000:]
