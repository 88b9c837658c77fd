"""Metrics have the right numbers, a retry counts once, and no backend or sink harms a task."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update
from tests.lakes import HOUR, LakeUnderTest, event, key
from tests.unit.pismo.signals.conftest import Raises, Recorder

from pismo.signals.metrics import (
    NAMES,
    find_fresh,
    publish_backlog,
    publish_build,
    publish_changes,
    publish_day,
    time_step,
)
from pismo_lake.hours import PublishDay
from pismo_lake.ledger.tables import raw_files
from pismo_lake.report.reconcile import reconcile

if TYPE_CHECKING:
    from pismo_lake.build.summary import BuildSummary
    from pismo_lake.settings.deliveries import Delivery

ROOT = Path(__file__).resolve().parents[4]
UNIT = "2026-03-01T12"


def land(lake: LakeUnderTest, name: str, *chunks: bytes) -> None:
    """Land and index a file that was published an hour ago."""
    lake.land_raw({f"{HOUR}/{name}": b"".join(chunks)})
    published = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    with lake.ledger.transaction() as connection:
        connection.execute(update(raw_files).values(published_at=published))
    lake.index()


def build(lake: LakeUnderTest, delivery: Delivery, unit: str = UNIT) -> BuildSummary:
    """Do what the operator does."""
    fresh = find_fresh(delivery, lake.ledger, unit)
    summary = lake.build([unit])[unit]
    publish_build(delivery, summary, fresh)
    return summary


def test_a_build_counts_once_and_a_retry_counts_nothing(
    lake: LakeUnderTest, delivery: Delivery, stats: Recorder
) -> None:
    land(lake, "a", event("e-1", {"amount": 1}), event("e-1", {"amount": 1}), b"}", event("e-2", {"amount": "x"}))
    land(lake, "b", event("e-1", {"amount": 2}), event("e-3", {"amount": 3}))
    summary = build(lake, delivery)
    counted = {name.removeprefix("pismo."): values for name, values in stats.values("incr").items()}
    assert counted == {
        "files": [2], "bytes": [summary.bytes], "events": [5], "rows": [3], "duplicates": [2], "conflicts": [1],
        "rejects": [summary.rejects], "rescued": [1],
    }  # fmt: skip
    freshness = stats.values("timing")["pismo.freshness"]
    assert len(freshness) == 2
    assert all(age >= timedelta(hours=1) for age in freshness)

    stats.calls.clear()
    build(lake, delivery)
    assert stats.calls == []


def test_only_files_that_become_visible_are_fresh(lake: LakeUnderTest, delivery: Delivery, stats: Recorder) -> None:
    land(lake, "a", event("e-1"))
    build(lake, delivery)
    stats.calls.clear()
    lake.files.mark_unbuilt(UNIT)
    land(lake, "b", event("e-2"))
    build(lake, delivery)
    assert len(stats.values("timing")["pismo.freshness"]) == 1
    # the hour is written again, as a whole
    assert stats.values("incr")["pismo.files"] == [2]
    stats.calls.clear()
    land(lake, "c", event("e-3"))
    fresh = find_fresh(delivery, lake.ledger, "2026-03-01")
    publish_build(delivery, lake.close("2026-03-01"), fresh)
    assert len(stats.values("timing")["pismo.freshness"]) == 1


def test_lag_and_backlog_are_published_also_if_nothing_came(
    lake: LakeUnderTest, delivery: Delivery, stats: Recorder
) -> None:
    publish_backlog(delivery, lake.ledger)
    assert stats.values("gauge") == {"pismo.backlog_files": [0], "pismo.backlog_bytes": [0]}
    lake.put(event("e-1"), key=key(12))
    lake.land({key(13): event("e-2")})
    stats.calls.clear()
    publish_backlog(delivery, lake.ledger)
    gauges = stats.values("gauge")
    expected = (datetime.now(UTC) - datetime(2026, 3, 1, 12, tzinfo=UTC)).total_seconds()
    assert expected - 600 < gauges.pop("pismo.lag")[0] <= expected
    assert gauges == {"pismo.backlog_files": [1], "pismo.backlog_bytes": [len(event("e-2"))]}


def test_a_day_has_its_verdict(lake: LakeUnderTest, delivery: Delivery, stats: Recorder) -> None:
    def report(day: str) -> Any:
        return reconcile(lake.settings, lake.ledger, PublishDay.parse(day))

    lake.put(event("e-1"), key=key(12))
    publish_day(report("2026-03-01"))
    assert stats.values("incr") == {"pismo.day_verdicts:incomplete": [1]}
    assert stats.values("gauge")["pismo.day_complete"] == [0]
    stats.calls.clear()
    lake.close("2026-03-01")
    publish_day(report("2026-03-01"))
    publish_day(report("2026-03-02"))
    assert stats.values("gauge")["pismo.day_complete"] == [1]
    assert "pismo.day_verdicts:complete" in stats.values("incr")


def test_contract_changes_are_counted_by_kind(lake: LakeUnderTest, delivery: Delivery, stats: Recorder) -> None:
    lake.land({f"{HOUR}/a": event("e-1", {"a": 1, "b": "x"})})
    added = publish_changes(delivery, lake.ledger, [f"{HOUR}/a"])
    lake.land({f"{HOUR}/b": event("e-2", {"a": 1.5, "b": 7})})
    more = publish_changes(delivery, lake.ledger, [f"{HOUR}/b"])
    assert added == {"pix/pix_in-1": {"added": 2}}
    assert more == {"pix/pix_in-1": {"widened": 1, "rescued": 1}}
    assert stats.values("incr") == {
        "pismo.contract_changes:added": [2],
        "pismo.contract_changes:rescued": [1],
        "pismo.contract_changes:widened": [1],
    }


def test_a_step_is_timed_if_it_succeeds(stats: Recorder) -> None:
    with time_step("test", "land"):
        pass
    with pytest.raises(KeyError), time_step("test", "index"):
        raise KeyError
    assert list(stats.values("timing")) == ["pismo.land"]


def test_a_backend_that_raises_fails_nothing(
    lake: LakeUnderTest, delivery: Delivery, use_stats: Any, caplog: pytest.LogCaptureFixture
) -> None:
    use_stats(Raises())
    with caplog.at_level(logging.WARNING, "pismo.signals.metrics"):
        land(lake, "a", event("e-1"))
        with time_step("test", "flatten"):
            build(lake, delivery)
        publish_backlog(delivery, lake.ledger)
        publish_changes(delivery, lake.ledger, [f"{HOUR}/a"])
        publish_day(reconcile(lake.settings, lake.ledger, PublishDay.parse("2026-03-01")))
        lake.ledger.close()
        publish_backlog(delivery, None)  # type: ignore[arg-type]
    assert len(lake.rows()) == 1
    said = [record.getMessage() for record in caplog.records if record.name == "pismo.signals.metrics"]
    assert len(said) == 6
    assert "password" not in "".join(said)


SCRIPT = """
import os
from airflow.observability.metrics import stats_utils
from airflow.sdk.observability import stats
from pismo.signals.metrics import time_step
stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
for _ in range(200):
    with time_step("test", "land"):
        pass
print("worked on", flush=True)
# the sink has answered nothing yet
input()
os._exit(0)
"""


def test_a_sink_that_never_answers_delays_nothing(tmp_path: Path) -> None:
    """The sink takes connections and answers none; the program goes on while it is silent."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        environment = os.environ | {
            "AIRFLOW_HOME": str(tmp_path),
            "PYTHONPATH": f"{ROOT / 'include'}{os.pathsep}{ROOT / 'plugins'}",
            "AIRFLOW__METRICS__OTEL_ON": "True",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRIC_EXPORT_INTERVAL": "1",
        }
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen([sys.executable, "-c", SCRIPT], env=environment, text=True, **pipes) as process:
            out, err = process.communicate("\n")
    assert "worked on" in out, err
    assert process.returncode == 0


STATSD = """
from datetime import UTC, datetime
from types import SimpleNamespace
from airflow.observability.metrics import stats_utils
from airflow.sdk.observability import stats
from pismo.signals.metrics import publish_build, time_step
stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
with time_step("acme", "land"):
    pass
delivery, counts = SimpleNamespace(name="acme"), dict.fromkeys(("bytes", "rows", "duplicates"), 7)
names = ("files", "events", "conflicts", "rejects", "rescued", "erased")
built = SimpleNamespace(parts_built=1, written=counts | dict.fromkeys(names, 0))
publish_build(delivery, built, [datetime.now(UTC)])
"""


@pytest.mark.parametrize(("tagged", "name"), [("False", "pismo.rows"), ("True", "pismo.rows,delivery=acme")])
def test_statsd_gets_the_same_names(tmp_path: Path, tagged: str, name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        environment = os.environ | {
            "AIRFLOW_HOME": str(tmp_path),
            "PYTHONPATH": f"{ROOT / 'include'}{os.pathsep}{ROOT / 'plugins'}",
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(sink.getsockname()[1]),
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": tagged,
        }
        done = subprocess.run(
            [sys.executable, "-c", STATSD], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        # all datagrams wait in the socket: the program that sent them is over
        sink.setblocking(False)
        sent = []
        with contextlib.suppress(BlockingIOError):
            while True:
                sent.append(sink.recv(4096).decode())
    assert f"airflow.{name}:7|c" in sent
    tags = name.removeprefix("pismo.rows")
    kinds = {(stat, value.rpartition("|")[2]) for stat, _, value in (line.partition(":") for line in sent)}
    expected = {("land", "ms"), ("freshness", "ms"), ("rows", "c"), ("bytes", "c"), ("duplicates", "c")}
    assert kinds >= {(f"airflow.pismo.{stat}{tags}", kind) for stat, kind in expected}


def test_every_metric_has_a_name_that_airflow_takes() -> None:
    code = (ROOT / "plugins/pismo/signals/metrics.py").read_text()
    written = set(re.findall(r'"pismo\.(\w+)"', code))
    assert written < NAMES
    assert all(re.fullmatch(r"[a-z_]+", name) for name in NAMES)
