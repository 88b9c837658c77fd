"""Define the command `files`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pismo_lake.cli.command import OpenLake, command
from pismo_lake.cli.options import Day
from pismo_lake.cli.output import Size, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COLUMNS = ("publish hour", "size", "events", "rejects", "status", "built", "file")


@command("files", json=True)
def files(
    lake: OpenLake,
    date: Day = None,
    forget: Annotated[
        list[str] | None,
        typer.Option(
            "--forget", metavar="NAME",
            help="Remove a landed file from ledger, landing and lake; may be repeated. If Pismo still has it, the next"
            " listing lands it again.",
        ),
    ] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="List files that could not be landed, and quarantined ones.")
    ] = False,
) -> int:  # fmt: skip
    """List landed files."""
    from pismo_lake.cli.lake import require_delivery
    from pismo_lake.cli.names import hint_days

    if forget:
        return _forget(lake, forget)
    if failed:
        _list_failed(lake, date)
        return 0
    if lake.options.delivery and not lake.options.deliveries:
        require_delivery(lake.settings, lake.ledger)
    listed = list(_list_all(lake, date))
    if lake.json:
        print_json({"files": listed})
    else:
        print_table(_COLUMNS, (_row(file) for file in listed))
    if date and not listed:
        hint_days(lake, date)
    return 0


def _list_all(lake: OpenLake, day: str | None) -> Iterator[dict[str, Any]]:
    """Yield the files of every delivery, then those of this one that wait for an index."""
    from pismo_lake.ledger import LakeFiles, RawLedger

    settings = lake.settings
    names = ("delivery", "name", "publish_hour", "size", "events", "rejects", "status", "built", "problem")
    for record in LakeFiles(lake.ledger, settings.lake).every(day=day):
        yield {name: getattr(record, name) for name in names}
    raws = RawLedger(lake.ledger, settings.lake, settings.delivery)
    for raw in raws.list_waiting(None if day is None else raws.hours_of_day(day)):
        known = {name: getattr(raw, name) for name in ("name", "publish_hour", "size", "problem")}
        waiting = {"events": None, "rejects": None, "status": "not indexed", "built": False}
        yield {"delivery": settings.delivery} | known | waiting


def _row(file: dict[str, Any]) -> tuple[Any, ...]:
    problem = f"  ({file['problem']})" if file["problem"] else ""
    return (
        file["publish_hour"], Size(file["size"]), file["events"], file["rejects"], file["status"],
        "yes" if file["built"] else "no", f"{file['delivery']}:{file['name']}{problem}",
    )  # fmt: skip


def _list_failed(lake: OpenLake, day: str | None) -> None:
    from pismo_lake.ledger.sightings import failed_files

    found = failed_files(lake.ledger, lake.settings.lake, day)
    if lake.json:
        names = ("delivery", "key", "publish_hour", "tries", "state", "first_seen", "problem")
        print_json({"failed": [{name: getattr(seen, name) for name in names} for seen in found]})
        return
    rows = ((s.publish_hour, s.tries, s.state, f"{s.delivery}:{s.key}: {s.problem}") for s in found)
    print_table(("publish hour", "tries", "state", "file: problem"), rows)


def _forget(lake: OpenLake, names: Sequence[str]) -> int:
    """Forget files one by one; a name that is not known does not keep the others."""
    from pismo_lake.events.forget import forget_file
    from pismo_lake.privacy.mark import refuse_unprotected

    settings, ledger = lake.settings, lake.ledger
    refuse_unprotected(settings)
    documents = []
    for name in names:
        # as the list of files shows it, or alone
        done = forget_file(settings, ledger, name) or forget_file(
            settings, ledger, name.removeprefix(f"{settings.delivery}:")
        )
        if done is None:
            print(f"no file of {settings.delivery} is named {name}{_suggest_names(lake, name)}", file=sys.stderr)
            continue
        documents.append({"name": name, "units": done.units, "left": done.left, "removed": done.removed})
        if lake.json:
            continue
        landing = "removed" if done.removed else "not touched"
        print(f"forgotten: {name}; {len(done.units)} unit(s) built again; its bytes in landing are {landing}")
        for unit in done.left:
            print(f"to be built by its own delivery: {unit}")
    if lake.json:
        print_json({"forgotten": documents})
    return 1 if len(documents) < len(names) else 0


def _suggest_names(lake: OpenLake, name: str) -> str:
    """Return the names that are most like one that does not exist, as the end of a sentence."""
    from difflib import get_close_matches

    from pismo_lake.ledger import FileLedger

    known = FileLedger(lake.ledger, lake.settings.lake, lake.settings.delivery).names()
    found = get_close_matches(name.removeprefix(f"{lake.settings.delivery}:"), known, n=3)
    return f": did you mean {' or '.join(found)}?" if found else ""
