"""Make the reference pages from the code: commands, errors, ledger tables, settings, API."""

from __future__ import annotations

import importlib
import inspect
import io
import json
import os
import pkgutil
import re
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from docs.hooks.settings_table import settings_table

import pismo_lake
from pismo_lake.cli.codes import EXIT_CODES
from pismo_lake.errors import PismoError
from pismo_lake.ledger.tables import metadata
from pismo_lake.reasons import REJECT_REASONS, RESCUE_REASONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "config" / "deliveries.schema.json"
PROGRAMS = {
    "pismo_lake": "pismo_lake.cli.main",
    "pismo": "pismo.__main__",
    "pismo_sandbox": "pismo_sandbox.__main__",
}
"""The programs with a command line, and the module of each `main`."""

API_MODULES = ("errors", "hours", "paths")
"""Public modules of `pismo_lake` that are not a package; packages with `__all__` are found."""

# argparse lists commands below a placeholder of theirs, typer below a heading
_COMMANDS = re.compile(r"^(?:positional arguments:\n  \w+|Commands:)\n((?:  .*\n)*)", re.MULTILINE)
_COMMAND = re.compile(r"^ {2,4}([a-z][a-z-]*)(?:  |$)", re.MULTILINE)


def help_text(program: str, *words: str) -> str:
    """Return the output of `python -m PROGRAM WORDS --help`."""
    main = importlib.import_module(PROGRAMS[program]).main
    printed = io.StringIO()
    with mock.patch.dict(os.environ, {"COLUMNS": "100"}), redirect_stdout(printed), suppress(SystemExit):
        main([*words, "--help"])
    return printed.getvalue().replace(str(ROOT) + os.sep, "").strip()


def commands_of(program: str, *words: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command with an action, as `("ledger", "rebuild")`."""
    listed = _COMMANDS.search(f"{help_text(program, *words)}\n")
    found = _COMMAND.findall(listed[1]) if listed else []
    if not found:
        yield words
    for name in found:
        yield from commands_of(program, *words, name)


def commands() -> str:
    """Render the help of every command."""
    text = ""
    for program in PROGRAMS:
        text += f"## `python -m {program}`\n\n"
        for words in commands_of(program):
            text += f"### `{' '.join(words)}`\n\n```text\n{help_text(program, *words)}\n```\n\n"
    return text


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _summary(thing: object) -> str:
    return _cell((inspect.getdoc(thing) or "").partition("\n\n")[0])


def errors() -> str:
    """Render the tree of errors, each with its docstring and whether it is permanent."""

    def rows(error: type[PismoError], depth: int) -> Iterator[str]:
        kind = "permanent" if error.permanent else "temporary"
        yield f"| {'&emsp;' * depth}`{error.__name__}` | {kind} | {_summary(error)} |"
        for child in error.__subclasses__():
            if child.__module__ == error.__module__:
                yield from rows(child, depth + 1)

    return "\n".join(["| error | kind | meaning |", "|---|---|---|", *rows(PismoError, 0), ""])


def _reasons(reasons: dict[str, str]) -> str:
    rows = [f"| `{name}` | {_cell(meaning)} |" for name, meaning in sorted(reasons.items())]
    return "\n".join(["| reason | meaning |", "|---|---|", *rows, ""])


def ledger_tables() -> str:
    """Render each table of the ledger with its columns and their docs."""
    text = ""
    for table in metadata.sorted_tables:
        text += f"## `{table.name}`\n\n{table.info['doc']}\n\n"
        text += "| column | type | may be null | meaning |\n|---|---|---|---|\n"
        for column in table.columns:
            key = "key; " if column.primary_key else ""
            null = "yes" if column.nullable else "no"
            text += f"| `{column.name}` | {column.type} | {null} | {key}{_cell(column.doc or '')} |\n"
        text += "\n"
    return text


def public_modules() -> list[str]:
    """List the modules of the Python API: packages with `__all__`, and a few single modules."""
    names = []
    for found in pkgutil.iter_modules(pismo_lake.__path__):
        module = f"pismo_lake.{found.name}"
        if found.name in API_MODULES or (found.ispkg and hasattr(importlib.import_module(module), "__all__")):
            names.append(module)
    return names


def python_api() -> str:
    """Render a directive of mkdocstrings for each public module."""
    return "".join(f"::: {name}\n\n" for name in public_modules())


def exit_codes() -> str:
    """Render the exit codes of the command line."""
    rows = [f"| {code} | {_cell(meaning)} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join(["| exit code | meaning |", "|---|---|", *rows, ""])


def delivery_settings() -> str:
    """Render the JSON Schema of the deliveries file; empty if there is none yet."""
    return settings_table(json.loads(SCHEMA.read_text(encoding="utf-8"))) if SCHEMA.exists() else ""


BLOCKS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "delivery-settings": delivery_settings,
    "errors": errors,
    "exit-codes": exit_codes,
    "ledger-tables": ledger_tables,
    "python-api": python_api,
    "reject-reasons": lambda: _reasons(REJECT_REASONS),
    "rescue-reasons": lambda: _reasons(RESCUE_REASONS),
}
"""The function that fills each `<!-- generated: NAME -->` of a page."""
