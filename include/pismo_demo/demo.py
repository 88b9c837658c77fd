"""Run the demo from start to end, and stop its processes."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_demo import feed, report
from pismo_demo.airflow_home import USER, write_private
from pismo_demo.channels import feed_of, server_of, sink_of
from pismo_demo.errors import DemoError, PortTakenError
from pismo_demo.ingestion import run_dag
from pismo_demo.lock import LOCK, hold, interrupt_holder, signals_raise, signals_wait
from pismo_demo.ports import free_ports, unusual_ports
from pismo_demo.processes import Notes, stop
from pismo_demo.servers import Places, start_airflow, start_sandbox, wait_for_airflow

if TYPE_CHECKING:
    from pathlib import Path

    from pismo_demo.feed import Published
    from pismo_demo.options import Options
    from pismo_demo.servers import AirflowServer

_NOTES = "running.json"
_TRIES = 3
_LONGEST_TASK_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Running:
    """A running Airflow and look-alike, with a published feed."""

    airflow: AirflowServer
    published: Published
    dag_id: str


def say(text: str = "") -> None:
    """Print at once, even into a pipe."""
    print(text, flush=True)


def up(options: Options) -> None:
    """Run the demo, and stop its processes at the end, unless `keep` leaves Airflow running."""
    began = time.monotonic()
    home = options.home
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    with hold(home), signals_raise():
        notes, places, keep = Notes(home / _NOTES), Places(home), False
        try:
            _clear(home, notes)
            running = _start(options, places, notes)
            try:
                _ingest(options, places, running)
            except DemoError:
                # keep a failed run for the browser, but not an interrupted one
                keep = options.keep
                raise
            keep = options.keep
        finally:
            if keep:
                say(report.where_to_look(places.lake, running.airflow.address, running.airflow.password))
            else:
                _stop_all(notes)
    if not keep:
        say(report.where_to_look(places.lake, None, ""))
    say(f"\nThe demo took {time.monotonic() - began:.0f} s.")


def down(home: Path) -> None:
    """Stop a demo that is running, or processes that one has left."""
    if not home.is_dir():
        say("No demo has been run here.")
        return
    interrupt_holder(home)
    with hold(home):
        if not _stop_all(Notes(home / _NOTES)):
            say("Nothing of the demo is running.")
    say(f"Its files stay in {home} until the next one.")


def _start(options: Options, places: Places, notes: Notes) -> Running:
    places.logs.mkdir()
    server = server_of(options.channel, places.home)
    place = start_sandbox(server, places, notes)
    source = feed_of(options.channel, places.home, place)
    say(f"1/5  A look-alike is up: {server.title}")
    say("2/5  Airflow is starting while events are published")
    airflow = start_airflow(options, places, free_ports(), notes, source)
    say(f"3/5  Publishing {options.hours} h of events, about {options.megabytes:g} MB, all kinds of damage on")
    published = feed.publish(options, sink_of(options.channel, places.home, place), places.truth)
    for attempt in range(1, _TRIES + 1):
        try:
            wait_for_airflow(airflow.process, airflow.api)
            break
        except PortTakenError as error:
            if attempt == _TRIES:
                raise
            say(f"     {error}; starting on another one")
            stop(airflow.process)
            notes.remove(airflow.process)
            airflow = start_airflow(options, places, unusual_ports(), notes, source)
    for name, slots in source.pools.items():
        airflow.api.make_pool(name, slots)
    write_private(places.home / "login.txt", f"{airflow.address}\n{USER}\n{airflow.password}\n")
    return Running(airflow, published, source.dag_id)


def _ingest(options: Options, places: Places, running: Running) -> None:
    from pismo_sandbox.check.truth import Truth
    from pismo_sandbox.check.verify import verify

    say(f"4/5  {running.dag_id}, run by Airflow's scheduler")
    began = time.monotonic()
    run_id = run_dag(running.airflow.api, running.dag_id, say, seconds=_LONGEST_TASK_SECONDS + 10 * options.megabytes)
    seconds = time.monotonic() - began
    say("5/5  Comparing the lake with what was published\n")
    truth = Truth(places.truth)
    try:
        found = verify(places.lake, truth)
    finally:
        truth.close()
    say(report.summary(running.published, found, places.lake, run_id, seconds) + "\n")
    if not found.ok:
        shown = "\n".join(f"  {problem}" for problem in found.problems)
        msg = f"the lake differs from what was published in {found.problem_count} places:\n{shown}"
        raise DemoError(msg)
    say(report.show_queries(places.lake))


def _clear(home: Path, notes: Notes) -> None:
    """Stop processes of an earlier demo, and remove its files."""
    if _stop_all(notes):
        say("Stopped the demo that was still running.")
    for path in home.iterdir():
        if path.name == LOCK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _stop_all(notes: Notes) -> bool:
    """Stop the noted processes, the last one first; return whether any was running."""
    stopped = False
    with signals_wait():
        for started in reversed(notes.all()):
            count = stop(started)
            notes.remove(started)
            if count:
                stopped = True
                say(f"Stopped {started.name} ({count} processes).")
    return stopped
