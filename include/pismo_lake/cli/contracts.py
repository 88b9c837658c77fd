"""The commands `contracts check|show|diff|adopt`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from pismo_lake.cli.options import day, on_lake
from pismo_lake.contracts.describe import changes_of, described, differences, schema_of
from pismo_lake.contracts.json_schema import schema_folder
from pismo_lake.contracts.store import ContractStore
from pismo_lake.errors import ConfigError
from pismo_lake.ledger import LakeFiles
from pismo_lake.report.schema_check import SchemaCheck, validator_of
from pismo_lake.rows.schema import event_schema

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings


def add_contracts(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> Sequence[argparse.ArgumentParser]:
    """Add the command; return the parsers that take the options of a lake."""
    contracts = commands.add_parser("contracts", help="what is known of event types, and JSON Schemas of them")
    actions = contracts.add_subparsers(required=True, metavar="ACTION")

    check = actions.add_parser("check", help="are the schemas usable; with --date, what do events break")
    check.add_argument("--date", metavar="YYYY-MM-DD", type=day, help="check the landed events of a publish day")
    check.set_defaults(run=on_lake(_check))

    show = actions.add_parser("show", help="event types, or the columns and changes of one")
    show.add_argument("event", nargs="?", metavar="DOMAIN/EVENT")
    show.set_defaults(run=on_lake(_show))

    diff = actions.add_parser("diff", help="where schemas and the lake do not say the same")
    diff.add_argument("event", nargs="?", metavar="DOMAIN/EVENT")
    diff.set_defaults(run=on_lake(_diff))

    adopt = actions.add_parser("adopt", help="write what is known of an event type as a JSON Schema to review")
    adopt.add_argument("event", metavar="DOMAIN/EVENT")
    adopt.add_argument("--into", metavar="FOLDER", help="write it there, unless there is one; else print it")
    adopt.set_defaults(run=on_lake(_adopt))
    return check, show, diff, adopt


def _check(options: argparse.Namespace, settings: LakeSettings, ledger: Ledger) -> int:
    store = ContractStore(ledger, settings)
    wrong = 0
    for folder in store.schemas:
        for path in folder.paths.values():
            try:
                folder.payload(path)
                validator_of(folder, path)
            except ConfigError as error:
                wrong += 1
                print(error, file=sys.stderr)
        print(f"{len(folder.paths)} schema(s) in {folder.root}")
    if options.date and not wrong:
        found = SchemaCheck(store.schemas)
        for record in LakeFiles(ledger, settings.lake).every(day=options.date):
            found.add(record)
        for violation in found.violations:
            print(violation)
        print(f"{found.checked} event(s) with a schema, {len(found.violations)} rule(s) broken; nothing is enforced")
    return 1 if wrong else 0


def _show(options: argparse.Namespace, settings: LakeSettings, ledger: Ledger) -> int:
    event: str | None = options.event
    store = ContractStore(ledger, settings)
    if event is None:
        for domain, name in store.names():
            columns = len(event_schema(store, domain, name))
            origin = "schema" if store.declared(domain, name) else "inferred"
            print(f"{f'{domain}/{name}':56} {columns:5} columns  {origin:9} {store.of(domain, name).mode}")
        return 0
    domain, name = _known(store, event)
    for line in described(store.of(domain, name), store.declared(domain, name)):
        print(line)
    for path, before, after, file, offset, seen in changes_of(ledger, settings.lake, domain, name):
        at = "" if offset is None else f" at {offset}"
        print(f"{seen}  {path}: {before or 'new'} -> {after}  {file}{at}")
    return 0


def _diff(options: argparse.Namespace, settings: LakeSettings, ledger: Ledger) -> int:
    store = ContractStore(ledger, settings)
    names = [_known(store, options.event)] if options.event else store.names()
    for domain, name in names:
        for difference in differences(store, domain, name):
            print(difference)
    return 0


def _adopt(options: argparse.Namespace, settings: LakeSettings, ledger: Ledger) -> int:
    store = ContractStore(ledger, settings)
    domain, name = _known(store, options.event)
    text = orjson.dumps(schema_of(store.of(domain, name), f"{domain} {name}"), option=orjson.OPT_INDENT_2) + b"\n"
    if not options.into:
        sys.stdout.buffer.write(text)
        return 0
    folder = Path(options.into)
    folder.mkdir(parents=True, exist_ok=True)
    there = schema_folder(folder).find(domain, name)
    if there is not None:
        msg = f"{there} is there already"
        raise ConfigError(msg)
    path = folder / domain / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text)
    print(path)
    return 0


def _known(store: ContractStore, event: str) -> tuple[str, str]:
    domain, _, name = event.partition("/")
    if (domain, name) not in store.names():
        msg = f"{event} is no event type of this lake, as `contracts show` lists them"
        raise ConfigError(msg)
    return domain, name
