"""Lineage waits once for a sink that never answers, and not again for some minutes."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.uuid import generate_new_uuid
from tests.silent_sink import silent_sink
from tests.sinks import running_sink
from tests.waiting import until

from pismo.signals.transport import PatientConfig, PatientTransport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT = 0.2
REFUSED = {"type": "http", "url": "http://127.0.0.1:1", "retry": {"connect": 0, "total": 0}}


@pytest.fixture(autouse=True)
def folder_of_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert not [path for path in tmp_path.iterdir() if path.stat().st_mode & 0o077]


def make_event() -> RunEvent:
    run, job = Run(runId=str(generate_new_uuid())), Job(namespace="n", name="land")
    return RunEvent(eventTime=datetime.now(UTC).isoformat(), eventType=RunState.START, run=run, job=job, producer="p")


def patient(url: str, wait: float = WAIT, pause: float = 300.0) -> PatientTransport:
    inner = {"type": "http", "url": url, "endpoint": "api/v1/lineage", "timeout": 600, "retry": {"total": 0}}
    return PatientTransport(PatientConfig.from_dict({"transport": inner, "wait_seconds": wait, "pause_seconds": pause}))


def test_the_client_makes_it_from_its_settings_and_an_event_arrives() -> None:
    with running_sink() as sink:
        inner = {"type": "http", "url": f"http://127.0.0.1:{sink.server_address[1]}", "endpoint": "api/v1/lineage"}
        settings = {"type": "pismo.signals.transport.PatientTransport", "transport": inner}
        client = OpenLineageClient(config={"transport": settings})
        client.emit(event := make_event())
        client.close()
        assert [each["run"]["runId"] for each in sink.events] == [event.run.runId]


def test_one_event_waits_for_a_silent_sink_and_the_others_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with silent_sink() as sink:
        first, of_another_process = patient(sink.url), patient(sink.url)
        first.emit(make_event())
        until(lambda: sink.accepted == 1)
        for _ in range(20):
            of_another_process.emit(make_event())
        assert sink.accepted == 1
    told = [record.levelno for record in caplog.records if record.name == "pismo.signals.transport"]
    assert told == [logging.WARNING] * 21


def test_a_pause_is_over_after_its_time(folder_of_pauses: Path) -> None:
    with silent_sink() as sink:
        patient(sink.url).emit(make_event())
        (pause,) = folder_of_pauses.iterdir()
        os.utime(pause, (0, time.time() - 301))
        patient(sink.url).emit(make_event())
        until(lambda: sink.accepted == 2)
        assert time.time() - pause.stat().st_mtime < 300


def test_the_pause_of_one_sink_is_not_that_of_another() -> None:
    with silent_sink() as silent, running_sink() as sink:
        patient(silent.url).emit(make_event())
        patient(f"http://127.0.0.1:{sink.server_address[1]}", wait=60).emit(make_event())
        assert len(sink.events) == 1


def test_a_late_answer_ends_the_pause(folder_of_pauses: Path) -> None:
    with running_sink() as sink:
        transport = patient(f"http://127.0.0.1:{sink.server_address[1]}", wait=60)
        (folder_of_pauses / transport.pause_file.name).touch(mode=0o600)
        os.utime(transport.pause_file, (0, 0))
        transport.emit(make_event())
    assert not transport.pause_file.exists()


def test_the_error_of_the_other_transport_is_raised_and_begins_no_pause(folder_of_pauses: Path) -> None:
    transport = PatientTransport(PatientConfig.from_dict({"transport": REFUSED, "wait_seconds": 60}))
    for _ in range(2):
        with pytest.raises(Exception, match="refused"):
            transport.emit(make_event())
    assert not list(folder_of_pauses.iterdir())


def test_a_pause_that_is_a_link_is_not_followed(folder_of_pauses: Path) -> None:
    with silent_sink() as sink:
        transport = patient(sink.url)
        target = folder_of_pauses / "target"
        transport.pause_file.symlink_to(target)
        os.utime(transport.pause_file, (0, 0), follow_symlinks=False)
        transport.emit(make_event())
        assert not target.exists()
        assert transport.pause_file.is_file()


def test_a_folder_that_cannot_be_written_only_costs_the_pause(folder_of_pauses: Path) -> None:
    with silent_sink() as sink:
        tempfile.tempdir = str(folder_of_pauses / "missing")
        patient(sink.url).emit(make_event())
        patient(sink.url).emit(make_event())
        until(lambda: sink.accepted == 2)


@pytest.mark.parametrize("settings", [{}, {"transport": "http"}, {"transport": {"url": "http://127.0.0.1:1"}}])
def test_settings_without_another_transport_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="needs a key `transport`"):
        PatientConfig.from_dict(settings)


def test_times_may_be_texts() -> None:
    told = {"transport": REFUSED, "wait_seconds": "0.5", "pause_seconds": "60"}
    assert (PatientConfig.from_dict(told).wait_seconds, PatientConfig.from_dict(told).pause_seconds) == (0.5, 60.0)


def test_closing_waits_no_longer_than_for_an_event() -> None:
    with silent_sink() as sink:
        transport = patient(sink.url)
        transport.emit(make_event())
        assert transport.close() in {True, False}
        assert transport.close(0) in {True, False}
