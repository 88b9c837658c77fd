"""Measure the pages on a large ledger: `make bench ARGS="pages --files 1000000"`.

It fills an SQLite ledger with a year of files of one delivery, and asks what each page asks, twice. There is no event
file, so the search for an event is not measured. Times are of the processor and of the clock, without a cache.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pismo_lake import state
from pismo_lake.hours import PublishDay
from pismo_lake.ledger import Ledger
from pismo_lake.ledger.tables import builds, files
from pismo_lake.settings.lake import LakeSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NOW = datetime(2026, 3, 1, 6, 30, tzinfo=UTC)
DAYS = 365
LIMIT_SECONDS = 0.4
_TYPES = 60
_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class _Hour:
    start: datetime
    files: int

    @property
    def name(self) -> str:
        return f"{self.start:%Y-%m-%dT%H}"

    @property
    def closed(self) -> bool:
        return self.start < NOW.replace(hour=0) - timedelta(days=1)


def main(arguments: Sequence[str]) -> int:
    """Fill a ledger, measure, print a line for each page; return 1 if one is slower than the limit."""
    parser = argparse.ArgumentParser(prog="benchmarks pages", description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--ledger", type=Path, help="use this ledger, and fill it only if it is missing")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="pismo-pages-") as folder:
        path = options.ledger or Path(folder) / "ledger.db"
        new = not path.exists()
        settings = LakeSettings("feed", f"{folder}/landing", "/srv/lake")
        with Ledger.open(f"sqlite:///{path}") as ledger:
            if new:
                _fill(ledger, settings, options.files)
            slowest = max(_measure(ledger.for_reading(), settings))
    return 0 if slowest <= LIMIT_SECONDS else 1


def _measure(ledger: Ledger, settings: LakeSettings) -> Iterator[float]:
    """Print and yield the seconds of each question, the second time that it is asked."""
    last, earlier = PublishDay.parse("2026-03-01"), PublishDay.parse("2026-02-20")
    questions: dict[str, Callable[[], Any]] = {
        "overview": lambda: state.overview_of(settings, ledger, NOW),
        "today": lambda: state.view_day(settings, ledger, last, NOW),
        "a closed day": lambda: state.view_day(settings, ledger, earlier, NOW),
        "files": lambda: state.list_files(settings, ledger, NOW),
        "files of a state": lambda: state.list_files(settings, ledger, NOW, state="problem"),
        "files by key": lambda: state.list_files(settings, ledger, NOW, text="no such key"),
        "event types": lambda: state.list_types(settings, ledger),
    }
    for name, ask in questions.items():
        ask()
        clock, processor = time.monotonic(), time.process_time()
        ask()
        seconds, worked = time.monotonic() - clock, time.process_time() - processor
        print(f"{name:20} {worked * 1000:6.0f} ms of the processor, {seconds * 1000:6.0f} ms")
        yield worked


def _fill(ledger: Ledger, settings: LakeSettings, count: int) -> None:
    first = NOW.replace(minute=0) - timedelta(hours=DAYS * 24 - 1)
    hours = [_Hour(first + timedelta(hours=number), count // (DAYS * 24)) for number in range(DAYS * 24)]
    with ledger.engine.begin() as connection:
        rows: list[dict[str, Any]] = []
        for hour in hours:
            rows += _files_of(settings, hour)
            if len(rows) >= _AT_ONCE or hour is hours[-1]:
                connection.execute(files.insert(), rows)
                rows = []
        closed = sorted({hour.name[:10] for hour in hours if hour.closed})
        units = closed + [hour.name for hour in hours if not hour.closed]
        connection.execute(builds.insert(), [_build_of(settings, unit, hours[0].files) for unit in units])


def _files_of(settings: LakeSettings, hour: _Hour) -> list[dict[str, Any]]:
    folder = f"main_stream/{hour.start.year}/{hour.start.month}/{hour.start.day}/{hour.start.hour}"
    same = {
        "lake": settings.lake, "delivery": settings.delivery, "size": 9_000_000, "sha256": "a" * 64,
        "publish_hour": hour.name, "plain_size": 9_000_000, "framing": "concatenated", "status": "landed",
        "events": 9000, "rejects": 0, "untimed": 0, "part": 0, "built": True, "closed": hour.closed, "touched": 1,
        "published_at": hour.start.isoformat(), "landed_at": (hour.start + timedelta(minutes=7)).isoformat(),
        "run": f"pismo_ingest_feed scheduled__{hour.name}",
    }  # fmt: skip
    names = (f"{folder}/pismo-main-1-{hour.name}-{number:032x}" for number in range(hour.files))
    places = settings.landing, f"{settings.landing}/_index"
    return [
        same | {"name": name, "key": name, "raw_uri": f"{places[0]}/{name}", "index_uri": f"{places[1]}/{name}"}
        for name in names
    ]


def _build_of(settings: LakeSettings, unit: str, a_hour: int) -> dict[str, Any]:
    outputs = [f"events/domain=d/event_type=t{number}/event_date={unit[:10]}/{unit}" for number in range(_TYPES)]
    count = a_hour * (24 if len(unit) == len("YYYY-MM-DD") else 1)
    counts = {"files": count, "events": count * 9000, "rows": count * 9000, "digests": dict.fromkeys(outputs, "a" * 64)}
    return {
        "lake": settings.lake, "delivery": settings.delivery, "unit": unit, "part": 0, "fingerprint": "f" * 64,
        "outputs": outputs, "superseded": [], "pending": False, "counts": counts, "beat": 1,
        "built_at": f"{unit[:10]}T23:59:00+00:00", "run": f"pismo_close_feed scheduled__{unit}",
    }  # fmt: skip
