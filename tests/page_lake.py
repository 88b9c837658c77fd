"""Make the lake that pages are drawn from: some days of the look-alike's events, with all kinds of damage."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOW = datetime(2026, 3, 5, 10, 20, tzinfo=UTC)
"""The time at which the pages are looked at."""
FEED = ("--end", "2026-03-05T10:00:00Z", "--hours", "82", "--mb", "1.2", "--seed", "7", "--everything")
CLOSED = ("2026-03-01", "2026-03-02", "2026-03-04")
"""The days that are closed; of 3 March an hour is lost, and the day is left open."""
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
    return deliveries


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
