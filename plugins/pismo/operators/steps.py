"""Index files, build units, and take a landed chunk to the lake: the steps that operators share.

This module imports the code of the steps, so operators import it while they run.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pismo.connect.ledger import settings_of
from pismo.signals.metrics import find_fresh, publish_backlog, publish_build, publish_changes, time_step
from pismo_lake.build.day import build_unit
from pismo_lake.build.hour import build_hour
from pismo_lake.build.summary import COUNTED, BuildSummary
from pismo_lake.build.units import UNIT_ERRORS
from pismo_lake.hours import DAY_LENGTH, PublishHour
from pismo_lake.index.run import index_landed
from pismo_lake.ledger import FileLedger, RawLedger

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Sequence, Set

    from pismo.runs.chunks import Chunk
    from pismo_lake.errors import PismoError
    from pismo_lake.index.indexer import IndexSummary
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery


@dataclass(frozen=True, slots=True)
class Indexed:
    """The result of indexing, the names of the files, and their contract changes by event type and kind."""

    summary: IndexSummary
    names: tuple[str, ...]
    changes: dict[str, dict[str, int]]

    def join(self, later: Indexed) -> Indexed:
        """Return the result of this indexing and a later one of the same task."""
        changes = {name: Counter(kinds) for name, kinds in self.changes.items()}
        for name, kinds in later.changes.items():
            changes.setdefault(name, Counter()).update(kinds)
        merged = {name: dict(kinds) for name, kinds in changes.items()}
        return Indexed(self.summary.join(later.summary), (*self.names, *later.names), merged)

    def counts(self) -> dict[str, Any]:
        """Return the counts for XCom."""
        done = self.summary
        return asdict(done) | {"unreadable": len(done.unreadable), "failures": len(done.failures)}


def index_files(
    delivery: Delivery, ledger: Ledger, hours: Iterable[str], names: Set[str] | None = None, *, apart: bool = False,
    log: logging.Logger,
) -> Indexed:  # fmt: skip
    """Index the waiting files of publish hours, or those of some names, and publish metrics of it."""
    hours = list(hours)
    waiting = [file.name for file in RawLedger(ledger, delivery.lake, delivery.name).list_waiting(hours)]
    wanted = tuple(name for name in waiting if names is None or name in names)
    with time_step(delivery.name, "index"):
        done = index_landed(settings_of(delivery), ledger, hours, names=names, apart=apart, log=log)
    for name, problem in done.failures:
        log.error("landed, but not in the lake, because it could not be indexed: %s: %s", name, problem)
    return Indexed(done, wanted, publish_changes(delivery, ledger, wanted))


@dataclass(slots=True)
class Built:
    """The units that were built, and the errors of the others."""

    summary: BuildSummary
    failures: dict[str, PismoError] = field(default_factory=dict)

    def counts(self) -> dict[str, Any]:
        """Return the counts for XCom, only of the parts that this task wrote.

        So sums over tasks count each part once.
        """
        return counts_of(self.summary)


def build_units(
    delivery: Delivery, ledger: Ledger, units: Sequence[str], *, force: bool = False, parts: Set[int] | None = None,
    log: logging.Logger,
) -> Built:  # fmt: skip
    """Build units, or some parts of publish hours; an error of one unit does not stop the others."""
    built = Built(BuildSummary(", ".join(units)))
    for unit in units:
        fresh = find_fresh(delivery, ledger, unit, parts)
        try:
            with time_step(delivery.name, "flatten"):
                settings = settings_of(delivery)
                if parts is None:
                    of_unit = build_unit(settings, ledger, unit, force=force, log=log)
                else:
                    of_unit = build_hour(settings, ledger, PublishHour.parse(unit), parts=parts, log=log)
            publish_build(delivery, of_unit, fresh)
            built.summary.join(of_unit)
        except UNIT_ERRORS as error:
            log.error("not built: %s: %s", unit, error)  # noqa: TRY400 - the message needs no traceback
            built.failures[unit] = error
    publish_backlog(delivery, ledger)
    return built


def counts_of(built: BuildSummary) -> dict[str, Any]:
    """Return the counts of the parts that were written, for XCom."""
    skipped = {"by_type", "written", *COUNTED}
    counts = {name: value for name, value in asdict(built).items() if name not in skipped}
    return counts | built.written | {"unreadable": len(built.unreadable)}


@dataclass(frozen=True, slots=True)
class Carried:
    """The result of a carried chunk; the units in `left` are for the tasks that follow."""

    indexed: Indexed
    built: Built
    units: tuple[str, ...]
    left: tuple[str, ...]

    def join(self, later: Carried) -> Carried:
        """Return the result of this chunk and of later files of the same run."""
        built = Built(BuildSummary(), {**self.built.failures, **later.built.failures})
        built.summary.join(self.built.summary)
        built.summary.join(later.built.summary)
        left = set(self.left) - set(later.units) | set(later.left)
        units = {*self.units, *later.units}
        return Carried(self.indexed.join(later.indexed), built, tuple(sorted(units)), tuple(sorted(left)))


def carry(
    delivery: Delivery, ledger: Ledger, chunk: Chunk, units: Set[str], keys: Set[str], *, force: bool,
    log: logging.Logger,
) -> Carried:  # fmt: skip
    """Index the files of a landed chunk and build its units, so that their rows need not wait for other chunks.

    A unit with any trouble is left: the tasks that follow try it once more, and name it if they fail. A chunk that
    shares its hours with others only builds parts of its own.

    Args:
        delivery: the delivery.
        ledger: its ledger.
        chunk: the chunk.
        units: the units of the chunk that need an index or a build.
        keys: the keys that this task has landed.
        force: build unchanged parts too.
        log: the log of the task.
    """
    if chunk.is_slice:
        return _carry_slice(delivery, ledger, chunk, units, keys, log)
    files = FileLedger(ledger, delivery.lake, delivery.name)
    indexed = index_files(delivery, ledger, _hours(units), log=log)
    touched = set(files.units_of_hours(indexed.summary.publish_hours)) & set(files.unbuilt_units())
    own = {unit for unit in units | touched if chunk.has_unit(unit)}
    ready = own - _troubled(delivery, ledger, indexed)
    built = build_units(delivery, ledger, sorted(ready), force=force, log=log)
    left = (touched | own) - (ready - built.failures.keys())
    return Carried(indexed, built, tuple(sorted(ready)), tuple(sorted(left)))


def indexed_before(delivery: Delivery, ledger: Ledger, chunk: Chunk, hours: Iterable[PublishHour]) -> list[str]:
    """Return the names of the chunk's files that an earlier try of this task has landed and indexed.

    What that try pushed is lost: Airflow removes it when a task is tried again.
    """
    files = FileLedger(ledger, delivery.lake, delivery.name)
    of_hours = (record for hour in chunk.hours or hours for record in files.of_hour(str(hour)))
    return [record.name for record in of_hours if record.run == ledger.run and chunk.has_key(record.key)]


def _carry_slice(
    delivery: Delivery, ledger: Ledger, chunk: Chunk, units: Set[str], keys: Set[str], log: logging.Logger
) -> Carried:
    files, hours = FileLedger(ledger, delivery.lake, delivery.name), _hours(units)
    waiting = RawLedger(ledger, delivery.lake, delivery.name).list_waiting(hours)
    mine = {file.name for file in waiting if (file.key in keys if chunk.messages else chunk.has_key(file.key))}
    indexed = index_files(delivery, ledger, hours, mine, apart=True, log=log)
    troubled = _troubled(delivery, ledger, indexed)
    built = Built(BuildSummary())
    for hour, parts in _parts(files, indexed, troubled).items():
        of_hour = build_units(delivery, ledger, [hour], parts=parts, log=log)
        built.summary.join(of_hour.summary)
        built.failures |= of_hour.failures
    # the last slice has its hour built once more: files of one slice may have lost events to those of another one
    again = set(hours) if chunk.messages or chunk.is_last else set()
    later = set(files.units_of_hours(indexed.summary.publish_hours)) & set(files.unbuilt_units()) - set(hours)
    return Carried(indexed, built, (), tuple(sorted(again | later | troubled | built.failures.keys())))


def _hours(units: Set[str]) -> list[str]:
    return sorted(unit for unit in units if len(unit) > DAY_LENGTH)


def _troubled(delivery: Delivery, ledger: Ledger, indexed: Indexed) -> set[str]:
    """Return the hours with a file that could not be indexed or read."""
    if not (indexed.summary.failures or indexed.summary.unreadable):
        return set()
    failed = {name for name, _ in indexed.summary.failures}
    waiting = RawLedger(ledger, delivery.lake, delivery.name).list_waiting()
    unreadable = FileLedger(ledger, delivery.lake, delivery.name).find_named(indexed.summary.unreadable)
    return {file.publish_hour for file in waiting if file.name in failed} | {file.publish_hour for file in unreadable}


def _parts(files: FileLedger, indexed: Indexed, troubled: Set[str]) -> dict[str, set[int]]:
    """Return the parts of the indexed files by publish hour, without hours in trouble."""
    parts: dict[str, set[int]] = {}
    for record in files.find_named(indexed.names):
        if record.publish_hour not in troubled and not record.closed:
            parts.setdefault(record.publish_hour, set()).add(record.part)
    return parts
