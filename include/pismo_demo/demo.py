"""Run the demo from start to end, and stop its processes."""

from __future__ import annotations

import shlex
import shutil
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pismo_demo import feed, report
from pismo_demo.airflow_home import USER, write_private
from pismo_demo.alerting import add_alerts, mail_server, read_mails
from pismo_demo.channels import feed_of, server_of, sink_of, with_tables
from pismo_demo.closing import Closing
from pismo_demo.errors import DemoError, PortTakenError
from pismo_demo.ingestion import ask_again, run_dag
from pismo_demo.lock import LOCK, hold, interrupt_holder, signals_raise, signals_wait
from pismo_demo.ports import free_ports, unusual_ports
from pismo_demo.processes import Notes, stop
from pismo_demo.progress import Progress, say
from pismo_demo.servers import Places, start_airflow, start_sandbox, wait_for_airflow

if TYPE_CHECKING:
    from pathlib import Path

    from pismo_demo.channels import Feed
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
    source: Feed


def up(options: Options) -> None:
    """Run the demo, and stop its processes at the end, unless `keep` leaves Airflow running."""
    began = time.monotonic()
    home = options.home
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    with hold(home), signals_raise(), Progress() as progress:
        notes, places, keep = Notes(home / _NOTES), Places(home), False
        try:
            _clear(home, notes)
            running = _start(options, places, notes, progress)
            try:
                _show(options, places, running, progress)
            except DemoError:
                # keep a failed run for the browser, but not an interrupted one
                keep = options.keep
                raise
            keep = options.keep
        finally:
            if keep:
                airflow = running.airflow
                say(report.where_to_look(places, running.source.delivery, airflow.address, airflow.password))
            else:
                progress.work("stopping")
                _stop_all(notes)
    if not keep:
        say(report.where_to_look(places, running.source.delivery, None, ""))
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


def _start(options: Options, places: Places, notes: Notes, progress: Progress) -> Running:
    places.logs.mkdir()
    server = server_of(options.channel, places.home)
    progress.work("the look-alike is starting")
    place = start_sandbox(server, places, notes)
    mail = start_sandbox(mail_server(places.mails), places, notes, "mail")
    source = feed_of(options.channel, places.home, place)
    if options.tables:
        source = with_tables(source, places.home)
    source = add_alerts(source, places.home, mail["port"])
    progress.say(f"1/6  A look-alike is up: {server.title}. A mail server for alerts, too")
    progress.say("2/6  Airflow is starting while events are published")
    airflow = start_airflow(options, places, free_ports(), notes, source)
    whole = "a whole yesterday, and " if options.close else ""
    damage = "with every kind of damage"
    progress.say(f"3/6  Publishing {whole}the last {options.hours} h, about {options.megabytes:g} MB, {damage}")
    progress.work("publishing")
    sink = sink_of(options.channel, places.home, place)
    published = feed.publish(options, sink, places.truth, whole_day=options.close)
    progress.work("waiting for Airflow")
    for attempt in range(1, _TRIES + 1):
        try:
            wait_for_airflow(airflow.process, airflow.api)
            break
        except PortTakenError as error:
            if attempt == _TRIES:
                raise
            progress.say(f"     {error}; starting on another one")
            stop(airflow.process)
            notes.remove(airflow.process)
            airflow = start_airflow(options, places, unusual_ports(), notes, source)
    for name, slots in source.pools.items():
        ask_again(partial(airflow.api.make_pool, name, slots), seconds=_LONGEST_TASK_SECONDS)
    variables = places.name_lake().items()
    places.settings.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables))
    write_private(places.home / "login.txt", f"{airflow.address}\n{USER}\n{airflow.password}\n")
    return Running(airflow, published, source)


def _show(options: Options, places: Places, running: Running, progress: Progress) -> None:
    """Ingest, close the day, show the alert, and compare every row with the published events."""
    api, dag_id = running.airflow.api, running.source.dag_id
    longest = _LONGEST_TASK_SECONDS + 10 * options.megabytes
    progress.say(f"4/6  {dag_id}, run by Airflow's scheduler")
    progress.work(f"{dag_id} is running")
    closing = Closing(api, running.source.delivery, running.published.day) if running.published.day else None
    began = time.monotonic()
    run_id = run_dag(api, dag_id, progress.step, seconds=longest, first=closing.start_dry_run if closing else None)
    runs = [report.Run(run_id, time.monotonic() - began)]
    if closing:
        progress.say(f"5/6  {closing.dag_id} closes {running.published.day}")
        progress.work(f"{closing.dag_id} is running")
        closed = closing.close(places.lake, progress.step, seconds=longest)
        progress.say(f"{closed}\n")
        runs.append(report.Run(closed.run_id, closed.seconds))
    progress.say(report.show_mails(read_mails(places.mails)))
    _compare(places, running.published, runs, progress, tables=options.tables)


def _compare(places: Places, published: Published, runs: list[report.Run], progress: Progress, *, tables: bool) -> None:
    from pismo_sandbox.check.truth import Truth
    from pismo_sandbox.check.verify import verify

    progress.say("6/6  Comparing the lake with the published events\n")
    progress.work("comparing")
    truth = Truth(places.truth)
    try:
        found = verify(places.lake, truth)
    finally:
        truth.close()
    progress.say(report.summary(published, found, places.lake, runs) + "\n")
    if not found.ok:
        shown = "\n".join(f"  {problem}" for problem in found.problems)
        msg = f"the lake differs from the published events in {found.problem_count} places:\n{shown}"
        raise DemoError(msg)
    progress.work("querying")
    progress.say(report.show_queries(places.lake, places.catalog if tables else None))


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
