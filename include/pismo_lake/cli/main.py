"""The command line: flatten raw files and close days without Airflow, find an event, list files, and so on."""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy.exc import SQLAlchemyError

from pismo_lake import __version__
from pismo_lake.build.day import close_day
from pismo_lake.build.plan import plan_units
from pismo_lake.build.units import UNIT_ERRORS
from pismo_lake.cli.contracts import add_contracts
from pismo_lake.cli.init import add_init
from pismo_lake.cli.options import add_lake_options, day, jobs, known, on_lake
from pismo_lake.cli.versions import add_ledger_versions
from pismo_lake.contracts.store import ContractStore
from pismo_lake.ddl.dialects import DIALECTS
from pismo_lake.ddl.statements import lake_tables, statements
from pismo_lake.errors import ConfigError, PismoError
from pismo_lake.events.erase import erase, find_copies, find_events
from pismo_lake.events.find import find_event, shown_event
from pismo_lake.events.forget import forget_file
from pismo_lake.hours import PublishDay, PublishHour
from pismo_lake.index.rebuild import rebuild_ledger
from pismo_lake.index.run import index_landed
from pismo_lake.ledger import FileLedger, LakeFiles, RawLedger
from pismo_lake.ledger.sightings import failed_files
from pismo_lake.local.files import local_files, torn_units, totals_by_type
from pismo_lake.local.workers import Workers
from pismo_lake.privacy.mark import refuse_unprotected
from pismo_lake.report.reconcile import reconcile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings

# of ours, and what the world around it brings about: files, databases, AWS, a library that is not installed
_TOLD = (PismoError, OSError, ValueError, ImportError, SQLAlchemyError, BotoCoreError, ClientError, pa.ArrowException)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 where all is well, 1 for an error of ours (named), 2 for a wrong call."""
    options = _parser().parse_args(arguments)
    level = logging.INFO if options.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        return int(options.run(options))
    except _TOLD as error:
        # below its first line a database's error has the statement and its values
        told = str(error).partition("\n")[0] if isinstance(error, SQLAlchemyError) else str(error)
        print(f"{type(error).__name__}: {told}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pismo_lake", description=__doc__)
    parser.add_argument("--version", action="version", version=f"pismo-lake {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="show progress")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    flatten = commands.add_parser("flatten", help="local or s3:// raw files into the lake")
    flatten.add_argument("raw", nargs="+", metavar="RAW", help="files or folders, any framing, gzip or not")
    flatten.add_argument("--publish-hour", metavar="YYYY-MM-DDTHH", help="for files outside an hour folder")
    flatten.add_argument("--force", action="store_true", help="build unchanged parts too")
    flatten.add_argument(
        "--jobs", type=jobs, metavar="N", help="processes (as many as there are cores, for 50 MB and more)"
    )
    flatten.set_defaults(run=on_lake(_flatten, new=True))

    where = commands.add_parser("where-is", help="where an event came from and where it stands")
    where.add_argument("event_id", metavar="EVENT_ID")
    where.set_defaults(run=on_lake(_where_is))

    show = commands.add_parser("show", help="an event's raw JSON, from its byte range in landing")
    show.add_argument("event_id", metavar="EVENT_ID")
    show.add_argument("--all", action="store_true", help="every copy, not only the one that stands")
    show.set_defaults(run=on_lake(_show))

    close = commands.add_parser("close", help="close publish days: few large files, and the day report")
    close.add_argument(
        "--date", metavar="YYYY-MM-DD", type=day, required=True, action="append", help="may be given several times"
    )
    close.add_argument("--force", action="store_true", help="rebuild an unchanged day too")
    close.add_argument("--dry-run", action="store_true", help="say what would be built and replaced, and do nothing")
    close.set_defaults(run=on_lake(_close))

    report = commands.add_parser("report", help="reconcile a publish day and write its report")
    report.add_argument("--date", metavar="YYYY-MM-DD", type=day, required=True)
    report.set_defaults(run=on_lake(_report))

    files = commands.add_parser("files", help="landed files")
    files.add_argument("--date", metavar="YYYY-MM-DD", type=day, help="one publish day")
    files.add_argument(
        "--forget", action="append", default=[], metavar="NAME",
        help="remove a landed file from ledger, landing and lake; Pismo's own file is landed again; may be repeated",
    )  # fmt: skip
    files.add_argument("--failed", action="store_true", help="files that could not be landed, and the quarantined ones")
    files.set_defaults(run=on_lake(_files))

    ddl = commands.add_parser("ddl", help="statements that make tables and views over the lake in a query engine")
    ddl.add_argument("--dialect", required=True, choices=tuple(DIALECTS))
    ddl.add_argument("--schema", default="", help="goes before each name, as it is written: my_schema, catalog.schema")
    ddl.add_argument("--stage", default="pismo_lake", help="Snowflake: the stage that is the lake")
    ddl.add_argument("--domain", action="append", default=[], help="only this domain; may be given several times")
    ddl.set_defaults(run=on_lake(_ddl))

    erase = commands.add_parser("erase", help="take a person's events out of the lake, for good")
    erase.add_argument(
        "--where", action="append", default=[], metavar="COLUMN=VALUE", help="rows with this value; may be repeated"
    )
    erase.add_argument("--event-id", action="append", default=[], metavar="EVENT_ID", help="may be repeated")
    erase.add_argument("--reference", default="", help="who asked for it, kept with the erasure: a ticket, no name")
    erase.add_argument("--raw", action="store_true", help="blank the events' bytes in landing too")
    erase.add_argument("--dry-run", action="store_true", help="say how many events there are, and do nothing")
    erase.set_defaults(run=on_lake(_erase))

    ledger = commands.add_parser("ledger", help="the ledger itself")
    actions = ledger.add_subparsers(required=True, metavar="ACTION")
    rebuild = actions.add_parser("rebuild", help="make the ledger anew from the landing zone, then build what it lists")
    rebuild.set_defaults(run=on_lake(_rebuild, new=True, checked=False))
    add_ledger_versions(actions)
    add_init(commands)

    for command in (flatten, where, show, close, report, files, ddl, erase, rebuild, *add_contracts(commands)):
        add_lake_options(command)
    return parser


def _flatten(options: argparse.Namespace, settings: LakeSettings, ledger: Ledger) -> int:
    from time import monotonic

    started = monotonic()
    hour = PublishHour.parse(options.publish_hour) if options.publish_hour else None
    files = local_files(options.raw)
    with Workers(settings, ledger, options.jobs) as workers:
        recorded = FileLedger(ledger, settings.lake, settings.delivery)
        earlier = set(recorded.unbuilt_units())
        # files that did land are built whatever became of the others
        taken = files.land(settings, ledger, hour, workers)
        units = set(recorded.unbuilt_units())
        mine = recorded.units_of_hours(recorded.hours_of_keys(files.uris))
        # what was asked for is there in the end, also where somebody removed it
        forced = set(mine) if options.force else torn_units(settings, ledger, mine)
        builds, unbuilt = workers.build(units | forced, forced)
    seconds = max(monotonic() - started, 1e-6)
    print(totals_by_type(builds))
    rows, landed, indexed = sum(build.rows for build in builds), taken.landed, taken.indexed
    print(
        f"{landed.files} new file(s), {landed.skipped} known; {indexed.events} events, {landed.bytes / 1e6:.1f} MB"
        f" landed; {len(builds)} publish hour(s): {rows} rows, {sum(b.duplicates for b in builds)} duplicates"
        f" ({sum(b.conflicts for b in builds)} conflicting), {sum(b.rejects for b in builds)} rejects;"
        f" {seconds:.1f} s, {landed.bytes / 1e6 / seconds:.1f} MB/s"
    )
    for name in taken.unreadable:
        print(f"NOT READABLE, kept in landing and listed in rejects: {name}", file=sys.stderr)
    for failure in taken.failures:
        print(failure, file=sys.stderr)
    for unit, error in unbuilt.items():
        print(f"NOT BUILT: {unit}: {error}", file=sys.stderr)
    for name, problem in taken.left:
        print(f"left by an earlier call: {name}: {problem} (see files --forget)", file=sys.stderr)
    # units that an earlier call left are no fault of this one, unless they hold its files
    return 1 if taken.unreadable or taken.failures or unbuilt.keys() - (earlier - set(mine)) else 0


def _where_is(options: argparse.Namespace, settings: LakeSettings, ledger: Ledger) -> int:
    places = find_event(settings, ledger, options.event_id)
    for place in places:
        print(place)
    if not places:
        print(f"{options.event_id} is in no landed file", file=sys.stderr)
    return 0 if places else 1


def _show(options: argparse.Namespace, settings: LakeSettings, ledger: Ledger) -> int:
    refuse_unprotected(settings)
    places = find_event(settings, ledger, options.event_id)
    shown = places if options.all else [place for place in places if place.standing] or places[:1]
    for place in shown:
        sys.stdout.buffer.write(shown_event(place, settings.privacy) + b"\n")
    sys.stdout.buffer.flush()
    if not places:
        print(f"{options.event_id} is in no landed file", file=sys.stderr)
    return 0 if places else 1


def _close(options: argparse.Namespace, settings: LakeSettings, ledger: Ledger) -> int:
    known(settings, ledger)
    days = [PublishDay.parse(text) for text in options.date]
    if options.dry_run:
        for part in plan_units(settings, ledger, map(str, days), force=options.force):
            print(part)
            print("".join(f"  replace {path}\n" for path in part.replaces), end="")
        return 0
    return max(_closed(settings, ledger, day, force=options.force) for day in days)


def _closed(settings: LakeSettings, ledger: Ledger, day: PublishDay, *, force: bool) -> int:
    recorded = FileLedger(ledger, settings.lake, settings.delivery)
    raws = RawLedger(ledger, settings.lake, settings.delivery)
    earlier = {unit for unit in recorded.unbuilt_units() if not unit.startswith(str(day))}
    failures = index_landed(settings, ledger).failures
    waiting = {raw.name for raw in raws.waiting(raws.hours_of_day(str(day)))}
    unbuilt: dict[str, PismoError] = {}
    try:
        built = close_day(settings, ledger, day, force=force)
        done = "rebuilt" if built.parts_built else "unchanged"
        counts = f"{built.files} files, {built.events} events, {built.rows} rows, {built.duplicates} duplicates"
        print(f"{day} {done}: {counts}")
    except UNIT_ERRORS as error:
        unbuilt[str(day)] = error
    others = set(recorded.unbuilt_units()) - {str(day)}
    unbuilt |= Workers(settings, ledger, 1).build(others, ())[1]
    for unit, reason in unbuilt.items():
        print(f"NOT BUILT: {unit}: {reason}", file=sys.stderr)
    for name, problem in failures:
        print(f"NOT INDEXED, its events are missing: {name}: {problem}", file=sys.stderr)
    # files and units of another day are that day's
    mine = unbuilt.keys() - earlier or any(name in waiting for name, _ in failures)
    return _reported(settings, ledger, day) or int(bool(mine))


def _report(options: argparse.Namespace, settings: LakeSettings, ledger: Ledger) -> int:
    known(settings, ledger)
    return _reported(settings, ledger, PublishDay.parse(options.date))


def _reported(settings: LakeSettings, ledger: Ledger, day: PublishDay) -> int:
    # drawing takes a while to load
    from pismo_lake.report.write import write_report

    report = reconcile(settings, ledger, day, until=PublishHour.containing(datetime.now(UTC)))
    places = write_report(settings.lake, report)
    print(report)
    for total in report.totals:
        if total.difference:
            print(f"DOES NOT BALANCE: {total.what}: {total.left} and {total.right}", file=sys.stderr)
    print(places[-1])
    return 0 if report.balanced else 1


def _forget(settings: LakeSettings, ledger: Ledger, names: Sequence[str]) -> int:
    """Forget files one by one; a name that is not known does not keep the others."""
    refuse_unprotected(settings)
    unknown = 0
    for name in names:
        # as the list of files shows it, or alone
        done = forget_file(settings, ledger, name) or forget_file(
            settings, ledger, name.removeprefix(f"{settings.delivery}:")
        )
        if done is None:
            unknown += 1
            print(f"no file of {settings.delivery} is named {name}", file=sys.stderr)
            continue
        landing = "removed" if done.removed else "not touched"
        print(f"forgotten: {name}; {len(done.units)} unit(s) built anew; its bytes in landing are {landing}")
        for unit in done.left:
            print(f"to be built by its own delivery: {unit}")
    return 1 if unknown else 0


def _files(options: argparse.Namespace, settings: LakeSettings, ledger: Ledger) -> int:
    if options.forget:
        return _forget(settings, ledger, options.forget)
    if options.failed:
        print(f"{'publish hour':14}{'tries':>6}  {'state':12}file: problem")
        for seen in failed_files(ledger, settings.lake, options.date):
            named = f"{seen.delivery}:{seen.key}: {seen.problem}"
            print(f"{seen.publish_hour:14}{seen.tries:>6}  {seen.state:12}{named}")
        return 0
    print(f"{'publish hour':14}{'bytes':>12}{'events':>9}{'rejects':>9}  {'status':11}{'built':6}file")
    for record in LakeFiles(ledger, settings.lake).every(day=options.date):
        built = "yes" if record.built else "no"
        print(
            f"{record.publish_hour:14}{record.size:>12}{record.events:>9}{record.rejects:>9}"
            f"  {record.status:11}{built:6}{record.delivery}:{record.name}{_told(record.problem)}"
        )
    raws = RawLedger(ledger, settings.lake, settings.delivery)
    for raw in raws.waiting(None if options.date is None else raws.hours_of_day(options.date)):
        named = f"{settings.delivery}:{raw.name}{_told(raw.problem)}"
        print(f"{raw.publish_hour:14}{raw.size:>12}{'':18}  {'not indexed':11}{'no':6}{named}")
    return 0


def _told(problem: str | None) -> str:
    return f"  ({problem})" if problem else ""


def _ddl(options: argparse.Namespace, settings: LakeSettings, ledger: Ledger) -> int:
    tables = lake_tables(settings.lake, ContractStore(ledger, settings), options.domain)
    for statement in statements(settings.lake, tables, options.dialect, options.schema, options.stage):
        print(f"{statement};\n")
    if not tables:
        print("no event type is known in this lake", file=sys.stderr)
    return 0 if tables else 1


def _erase(options: argparse.Namespace, settings: LakeSettings, ledger: Ledger) -> int:
    refuse_unprotected(settings)
    pairs = [tuple(text.partition("=")[::2]) for text in options.where]
    if not (pairs or options.event_id) or not all(column and value for column, value in pairs):
        msg = "give --where COLUMN=VALUE or --event-id EVENT_ID"
        raise ConfigError(msg)
    found = find_events(settings, pairs, options.event_id)
    # without a row, too: erased before, and now in landing
    found += find_copies(settings, ledger, set(options.event_id) - {event.event_id for event in found})
    for event_type, count in sorted(Counter(event.event_type for event in found).items()):
        print(f"{event_type:56} {count:8} event(s)")
    if options.dry_run or not found:
        print(f"{len(found)} event(s) found, nothing is changed")
        return 0
    if not options.reference:
        msg = "--reference is missing: who asked for it, in words that name no person"
        raise ConfigError(msg)
    done = erase(settings, ledger, found, options.reference, raw=options.raw)
    still = f", {len(done.left)} still hold some of them" if done.left else ""
    print(
        f"{len(found)} event(s) are recorded as erased; {len(done.units)} unit(s) built anew{still};"
        f" {done.raw_files} raw file(s) blanked"
    )
    for unit in done.left:
        print(f"STILL THERE until its own delivery's next run, or flatten --delivery, builds it anew: {unit}")
    return 0


def _rebuild(_: argparse.Namespace, settings: LakeSettings, ledger: Ledger) -> int:
    result = rebuild_ledger(settings, ledger)
    for uri in result.orphans:
        print(f"left aside, nothing gives it a publish hour: {uri}")
    for path in result.strangers:
        print(f"left aside, no build has written it: {path}")
    for name, problem in result.failures:
        print(f"NOT INDEXED, its events are missing: {name}: {problem}", file=sys.stderr)
    done = f"{result.files} file(s) recorded, {result.contracts} contract(s) restored"
    if result.waiting:
        # a copy of an event may be in a file of theirs
        print(f"{done}; nothing is built before these deliveries are rebuilt too: {', '.join(result.waiting)}")
        return 1 if result.failures else 0
    unbuilt = Workers(settings, ledger, 1).build(result.units, ())[1]
    for unit, error in unbuilt.items():
        print(f"NOT BUILT: {unit}: {error}", file=sys.stderr)
    print(f"{done}, {len(result.units) - len(unbuilt)} unit(s) built")
    return 1 if unbuilt or result.failures else 0
