"""Put the command line together from the commands of each family."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.main import get_command

from pismo_lake.cli.codes import EXIT_CODES
from pismo_lake.cli.command import COMMANDS, before_command
from pismo_lake.cli.groups import PlainCommand, PlainGroup
from pismo_lake.cli.options import VERSION_OPTION

PROGRAM = "pismo-lake"
FAMILIES = (
    "flatten",
    "close",
    "status",
    "check",
    "events",
    "missing",
    "replay",
    "files",
    "ddl",
    "tables",
    "contracts",
    "schemas",
    "ledger",
    "init",
)
"""The modules of this package that declare commands, in the order in which the help lists them."""

GROUPS = {
    "contracts": "Show, check, compare, adopt, pull and describe the contracts of event types.",
    "ledger": "Work on the ledger itself.",
}
"""The first words of commands that have two, each with its help."""

_ABOUT = """Flatten raw files, close days, find events and list files, without Airflow.

The options below may precede or follow a command.
"""
_SETTINGS = {"help_option_names": ["--help", "-h"], "max_content_width": 100}


def build_app() -> Any:
    """Return the command line as an object of typer's that parses a call."""
    _import_families()
    codes = "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())
    app = _group(_ABOUT, {"version": VERSION_OPTION}, epilog=f"Exit codes: {codes}.", add_completion=True)
    groups = {name: _group(text) for name, text in GROUPS.items()}
    added = set()
    for command in COMMANDS:
        *above, name = command.words
        parent = groups[above[0]] if above else app
        parent.command(name, cls=PlainCommand, context_settings=_SETTINGS)(command.function)
        for group in above:
            if group not in added:
                app.add_typer(groups[group], name=group)
                added.add(group)
    return get_command(app)


def own_commands() -> set[str]:
    """Return the first word of every command of this package."""
    _import_families()
    return {command.words[0] for command in COMMANDS}


def _import_families() -> None:
    for family in FAMILIES:
        import_module(f"pismo_lake.cli.{family}")


def _group(
    text: str, options: dict[str, Any] | None = None, *, epilog: str | None = None, add_completion: bool = False
) -> typer.Typer:
    group = typer.Typer(
        cls=PlainGroup, rich_markup_mode=None, add_completion=add_completion, context_settings=_SETTINGS,
        subcommand_metavar="COMMAND", epilog=epilog,
    )  # fmt: skip
    group.callback()(before_command(text, options or {}))
    return group
