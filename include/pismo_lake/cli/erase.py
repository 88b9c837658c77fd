"""Carry out an order to erase a person: find, erase, clean up, and search for traces."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pismo_lake.cli.output import print_json, print_table
from pismo_lake.errors import ConfigError
from pismo_lake.events.erase import clear_up, erase_events, landing_roots, remove_older
from pismo_lake.events.find_person import find_person
from pismo_lake.events.needle import LEAST_TELLING
from pismo_lake.events.traces import find_traces
from pismo_lake.ledger.search import clean_pages
from pismo_lake.privacy.mark import refuse_unprotected

if TYPE_CHECKING:
    from pismo_lake.cli.command import OpenLake
    from pismo_lake.events.erase import Erased
    from pismo_lake.events.find_person import Person
    from pismo_lake.events.traces import Traces

_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Order:
    """The wishes of a call: (column, value) pairs and ids of events, and the other options."""

    pairs: tuple[tuple[str, str], ...]
    event_ids: tuple[str, ...]
    reference: str
    raw: bool
    dry_run: bool

    def check(self) -> None:
        """Raise `ConfigError` if it names no event."""
        if not (self.pairs or self.event_ids) or not all(column and value for column, value in self.pairs):
            msg = "give --where COLUMN=VALUE or --event-id EVENT_ID"
            raise ConfigError(msg)

    def check_reference(self) -> None:
        """Raise `ConfigError` if there is no reference, or it holds a value of the person."""
        if not self.reference:
            msg = "--reference is missing: who asked for it, in words that name no person"
            raise ConfigError(msg)
        if any(value.casefold() in self.reference.casefold() for _, value in self.pairs if len(value) >= LEAST_TELLING):
            msg = "--reference holds a value of the person, and it is kept: give a ticket"
            raise ConfigError(msg)


def carry_out(lake: OpenLake, order: Order) -> int:
    """Erase, and return the exit code: 1 if anything is left, or could not be searched."""
    settings, ledger = lake.settings, lake.ledger
    refuse_unprotected(settings)
    order.check()
    person = find_person(settings, ledger, order.pairs, order.event_ids)
    types = sorted(Counter(event.event_type for event in person.events).items())
    summary: dict[str, Any] = {"events": dict(types), "found": len(person.events)}
    summary |= {"blind": [str(blind) for blind in person.blind]}
    if not lake.json and types:
        print_table(("event type", "events"), types)
    _print_blind(person)
    if order.dry_run:
        _print_nothing_done(lake, summary)
        return 1 if person.blind else 0
    done = None
    if person.events:
        order.check_reference()
        with lake.progress() as progress:
            done = erase_events(settings, ledger, person.events, order.reference, raw=order.raw, progress=progress)
    else:
        # an erasure that was killed may have left them
        remove_older(settings, ledger)
        clear_up(settings, landing_roots(settings, ledger))
    if not clean_pages(ledger):
        print("the ledger is in use: its old pages could not be cleared", file=sys.stderr)
    roots = landing_roots(settings, ledger)
    traces = find_traces(settings, ledger, roots, order.pairs, person.events, raw=order.raw)
    if lake.json:
        print_json(summary | _to_json(done, traces))
    elif done is None:
        _print_nothing_done(lake, summary)
    else:
        _print_done(len(person.events), done, raw=order.raw)
    if not lake.json:
        _print_traces(order, traces)
    _print_failures(done, traces)
    clean = done is None or not (done.left or done.failures or done.unknown)
    return 0 if clean and not traces and not person.blind else 1


def _to_json(done: Erased | None, traces: Traces) -> dict[str, Any]:
    content: dict[str, Any] = {"erased": done is not None}
    if done is not None:
        content |= {"units": list(done.units), "left": list(done.left), "raw_files": done.raw_files}
        content |= {
            "leftovers": list(done.leftovers),
            "failures": {at: str(error) for at, error in done.failures.items()},
        }
        content |= {"unknown": [event.event_id for event in done.unknown]}
    return content | {"traces": [str(trace) for trace in traces.found], "not_searched": traces.unsearched}


def _print_nothing_done(lake: OpenLake, summary: dict[str, Any]) -> None:
    if lake.json:
        print_json(summary | {"erased": False})
    else:
        print(f"{summary['found']} event(s) found, nothing is changed")


def _print_blind(person: Person) -> None:
    """Name the files whose columns could not be compared with a value."""
    for blind in person.by_landing:
        print(f"searched by its raw files: {blind}", file=sys.stderr)
    for blind in person.blind:
        print(f"CANNOT BE SEARCHED, and not all its raw files are in landing: {blind}", file=sys.stderr)


def _print_done(found: int, done: Erased, *, raw: bool) -> None:
    still = f", {len(done.left)} still hold some of them" if done.left else ""
    print(
        f"{found} event(s) are recorded as erased; {len(done.units)} unit(s) built again{still};"
        f" {done.raw_files} raw file(s) blanked"
    )
    if done.leftovers:
        print(f"{len(done.leftovers)} temporary file(s) of killed processes removed")
    if not raw:
        print("the raw bytes of these events are still in landing: --raw blanks them")
    for unit in done.left:
        print(f"STILL THERE until its own delivery's next run, or flatten --delivery, builds it again: {unit}")


def _print_traces(order: Order, traces: Traces) -> None:
    short = sorted({column for column, value in order.pairs if len(value) < LEAST_TELLING})
    if short:
        print(f"searched in their own columns alone, because the values are short: {', '.join(short)}")
    if not traces:
        print("searched lake, landing and ledger: nothing is left")


def _print_failures(done: Erased | None, traces: Traces) -> None:
    """Name each place that still holds something, and each place that could not be searched."""
    lines = [f"LEFT: {trace}" for trace in traces.found] + [f"NOT SEARCHED: {place}" for place in traces.unsearched]
    if done is not None:
        lines += [f"NOT ERASED: {place}: {error}" for place, error in done.failures.items()]
        unknown = "NOT ERASED: no landed file is known of event"
        lines += [f"{unknown} {event.event_id} of {event.event_type}" for event in done.unknown]
    for line in lines[:_SHOWN]:
        print(line, file=sys.stderr)
    if len(lines) > _SHOWN:
        print(f"and {len(lines) - _SHOWN} more", file=sys.stderr)
