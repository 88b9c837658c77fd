"""Define the commands about contracts: `contracts check`, `show`, `diff`, `adopt` and `dictionary`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from pismo_lake.cli.command import OpenLake, command
from pismo_lake.cli.ddl import Domains, name_unknown_domains
from pismo_lake.cli.names import event_type
from pismo_lake.cli.options import Day, check_choice
from pismo_lake.cli.output import print_json, print_table, write_bytes
from pismo_lake.errors import ConfigError

FORMS = ("markdown", "html")
"""The forms of a data dictionary."""

SomeEvent = Annotated[str | None, typer.Argument(metavar="DOMAIN/EVENT", help="Take only this event type.")]


@command("contracts check", json=True)
def check(lake: OpenLake, date: Day = None) -> int:
    """Check that the schemas are usable; with --date, list the rules that a day's events break."""
    from pismo_lake.cli.names import hint_days
    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.ledger import LakeFiles
    from pismo_lake.report.schema_check import SchemaCheck

    store = ContractStore(lake.ledger, lake.settings)
    folders = [{"folder": folder.root, "schemas": len(folder.names)} for folder in store.schemas]
    wrong = _unusable(store)
    for problem in wrong:
        print(problem, file=sys.stderr)
    if not lake.json:
        for folder in folders:
            print(f"{folder['schemas']} schema(s) in {folder['folder']}")
    document: dict[str, Any] = {"folders": folders, "problems": wrong}
    if date and not wrong:
        found = SchemaCheck(store.schemas)
        records = LakeFiles(lake.ledger, lake.settings.lake).every(day=date)
        for record in records:
            found.add(record)
        document |= {"checked": found.checked, "violations": [asdict(violation) for violation in found.violations]}
        if not lake.json:
            for violation in found.violations:
                print(violation)
            broken = f"{len(found.violations)} rule(s) broken; nothing is enforced"
            print(f"{found.checked} event(s) with a schema, {broken}")
        if not records:
            hint_days(lake, date)
    if lake.json:
        print_json(document)
    return 1 if wrong else 0


@command("contracts show", json=True)
def show(lake: OpenLake, event: SomeEvent = None) -> int:
    """List the event types, or the columns and changes of one."""
    from pismo_lake.contracts.describe import changes_of, column_lines
    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.rows.schema import event_schema

    store = ContractStore(lake.ledger, lake.settings)
    if event is None:
        types = [
            {
                "event_type": f"{domain}/{name}",
                "columns": len(event_schema(store, domain, name)),
                "origin": "schema" if store.find_declared(domain, name) else "inferred",
                "mode": str(store.of(domain, name).mode),
            }
            for domain, name in store.names()
        ]
        if lake.json:
            print_json({"event_types": types})
        else:
            print_table(("event type", "columns", "origin", "mode"), [tuple(one.values()) for one in types])
        return 0
    domain, name = event_type(store, event)
    contract = store.of(domain, name)
    columns = list(column_lines(contract, store.find_declared(domain, name)))
    changes = changes_of(lake.ledger, lake.settings.lake, domain, name)
    if lake.json:
        names = ("path", "before", "after", "file", "offset", "seen_at")
        print_json(
            {
                "event_type": event, "columns": [asdict(column) for column in columns],
                "without_a_column": sorted(contract.noted),
                "changes": [dict(zip(names, change, strict=True)) for change in changes],
            }
        )  # fmt: skip
        return 0
    print_table(("column", "type", "origin", "note"), [(c.name, c.type, c.origin, c.note) for c in columns])
    for note in sorted(contract.noted):
        print(f"seen and without a column: {note}")
    if changes:
        print()
        rows = [
            (seen, f"{path}: {before or 'new'} -> {after}", offset, file)
            for path, before, after, file, offset, seen in changes
        ]
        print_table(("seen at", "change", "offset", "file"), rows)
    return 0


@command("contracts diff", json=True)
def diff(lake: OpenLake, event: SomeEvent = None) -> int:
    """List the paths on which schemas and the lake differ."""
    from pismo_lake.contracts.describe import differences
    from pismo_lake.contracts.store import ContractStore

    store = ContractStore(lake.ledger, lake.settings)
    names = [event_type(store, event)] if event else store.names()
    found = [difference for domain, name in names for difference in differences(store, domain, name)]
    if lake.json:
        print_json({"differences": [asdict(difference) for difference in found]})
    else:
        for difference in found:
            print(difference)
    return 0


@command("contracts adopt", json=True)
def adopt(
    lake: OpenLake,
    event: Annotated[str, typer.Argument(metavar="DOMAIN/EVENT", help="The event type.")],
    into: Annotated[
        str | None,
        typer.Option("--into", metavar="FOLDER", help="Write it to FOLDER, unless it has one; else print it."),
    ] = None,
) -> int:
    """Make a JSON Schema of the known columns of an event type, to be reviewed."""
    from pismo_lake.contracts.describe import schema_of
    from pismo_lake.contracts.json_schema import SchemaFolder
    from pismo_lake.contracts.store import ContractStore

    store = ContractStore(lake.ledger, lake.settings)
    domain, name = event_type(store, event)
    text = orjson.dumps(schema_of(store.of(domain, name), f"{domain} {name}"), option=orjson.OPT_INDENT_2) + b"\n"
    if not into:
        write_bytes(text)
        return 0
    folder = Path(into)
    folder.mkdir(parents=True, exist_ok=True)
    schemas = SchemaFolder.open(folder)
    there = schemas.find(domain, name)
    if there is not None:
        msg = f"{schemas.place(there)} is there already"
        raise ConfigError(msg)
    path = folder / domain / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text)
    if lake.json:
        print_json({"schema": str(path)})
    else:
        print(path)
    return 0


@command("contracts dictionary", json=True)
def dictionary(
    lake: OpenLake,
    form: Annotated[
        str,
        typer.Option(
            "--format", metavar="FORM", callback=check_choice("format", FORMS), autocompletion=lambda: list(FORMS),
            show_default=True, help=f"Print it in this form: {', '.join(FORMS)}.",
        ),
    ] = FORMS[0],
    into: Annotated[
        str | None,
        typer.Option("--into", metavar="FOLDER", help="Write it in all forms into FOLDER instead of printing it."),
    ] = None,
    domain: Domains = None,
) -> int:  # fmt: skip
    """Write a data dictionary: each column with its names, type, path, privacy and description."""
    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.ddl.dictionary import FILES, describe_policy, make_sections, to_html, to_json, to_markdown
    from pismo_lake.ddl.tables import lake_tables

    settings = lake.settings
    store = ContractStore(lake.ledger, settings)
    tables = lake_tables(settings.lake, store, domain or [])
    sections = make_sections(tables)
    policy = describe_policy(settings.privacy)
    texts = {"markdown": to_markdown, "html": to_html}
    paths = []
    if into and sections:
        Path(into).mkdir(parents=True, exist_ok=True)
        for name, write in texts.items():
            path = Path(into) / FILES[name]
            path.write_text(write(sections, settings.lake, policy), encoding="utf-8")
            paths.append(str(path))
    if lake.json:
        print_json({"files": paths, "sections": to_json(sections)})
    elif into:
        for written in paths:
            print(written)
    elif sections:
        write_bytes(texts[form](sections, settings.lake, policy).encode())
    name_unknown_domains(store, domain or [])
    return 0 if tables else 1


def _unusable(store: Any) -> list[str]:
    """Return the problem of each schema that cannot be used."""
    from pismo_lake.contracts.validator import validator_of

    wrong = []
    for folder in store.schemas:
        for name in folder.names.values():
            try:
                folder.payload(name)
                validator_of(folder, name)
            except ConfigError as error:
                wrong.append(str(error))
    return wrong
