"""Define the options that commands share, and check the values of arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pismo_lake import __version__
from pismo_lake.hours import PublishDay
from pismo_lake.spelling import rank_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WHICH_LAKE = "Which lake"
"""The heading of the options that name the lake."""


@dataclass(frozen=True, slots=True)
class LakeOptions:
    """The options that say which lake a command works on, as the command line gives them."""

    delivery: str | None = None
    deliveries: str | None = None
    lake: str | None = None
    landing: str | None = None
    ledger: str | None = None
    contracts: str | None = None
    privacy: str | None = None
    kms_key: str | None = None
    table_format: str | None = None
    remove_files: str | None = None


def _lake_option(name: str, metavar: str, text: str) -> Any:
    return Annotated[str | None, typer.Option(name, metavar=metavar, help=text, rich_help_panel=WHICH_LAKE)]


LAKE_OPTIONS: dict[str, Any] = {
    "lake": _lake_option("--lake", "DIR", "Use the lake at this path or URI (PISMO_LAKE)."),
    "delivery": _lake_option("--delivery", "NAME", "Work on the files of this delivery. Default: local."),
    "deliveries": _lake_option(
        "--deliveries", "FILE", "Take all other settings from the entry of --delivery in FILE (PISMO_DELIVERIES)."
    ),
    "landing": _lake_option("--landing", "DIR", "Keep raw files here (PISMO_LANDING). Default: beside the lake."),
    "ledger": _lake_option(
        "--ledger", "URL",
        "Use the ledger at this SQLAlchemy URL (PISMO_LEDGER_URL). Default: an SQLite file beside the lake.",
    ),
    "contracts": _lake_option(
        "--contracts", "FOLDER",
        "Read JSON Schemas from FOLDER, <domain>/<event>-<version>.json (PISMO_CONTRACTS).",
    ),
    "privacy": _lake_option(
        "--privacy", "POLICY",
        "Apply the policy strict, or a policy file (PISMO_PRIVACY). Its key is PISMO_PRIVACY_KEY: <key id>:<secret>."
        " PISMO_PRIVACY_EARLIER_KEYS has a key of older rows on each line.",
    ),
    "kms_key": _lake_option(
        "--kms-key", "KEY",
        "Encrypt the lake's files with an AWS KMS key: id, ARN or alias (PISMO_LAKE_KMS_KEY).",
    ),
    "table_format": _lake_option(
        "--table-format", "FORMAT",
        "Keep tables of this format over the lake's files: iceberg (PISMO_TABLE_FORMAT). The lake remembers it.",
    ),
    "remove_files": _lake_option(
        "--remove-files", "WHEN",
        "Remove files that newer ones have replaced at_once, or after_snapshots: when no snapshot of a table names them"
        " (PISMO_REMOVE_FILES). The lake remembers it. Default: at_once.",
    ),
}  # fmt: skip
"""Each option of `LakeOptions`, as typer reads it."""

OUTPUT_OPTIONS: dict[str, Any] = {
    "json": Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")],
    "verbose": Annotated[bool, typer.Option("--verbose", "-v", help="Print each step as a line on stderr.")],
}
"""The options about the output."""


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer calls it
    if value:
        print(f"pismo-lake {__version__}")
        raise typer.Exit


VERSION_OPTION = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
]


def check_day(value: Any) -> Any:
    """Return a publish day, or several, as they are; refuse any other text."""
    for text in [value] if isinstance(value, str) else value or []:
        try:
            PublishDay.parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    return value


def check_jobs(value: str | None) -> str | None:
    """Return a number of processes; refuse any other text."""
    if value is not None and (not value.isdecimal() or int(value) < 1):
        msg = f"{value!r} is not 1 or more"
        raise typer.BadParameter(msg)
    return value


def check_choice(kind: str, names: Sequence[str]) -> Callable[[str], str]:
    """Return a check that accepts only `names`, and lists them, the closest first."""

    def check(value: str) -> str:
        if value not in names:
            msg = f"there is no {kind} {value!r}: there are {', '.join(rank_names(value, names))}"
            raise typer.BadParameter(msg)
        return value

    return check


Day = Annotated[
    str | None, typer.Option("--date", metavar="YYYY-MM-DD", callback=check_day, help="Take only this publish day.")
]
OneDay = Annotated[str, typer.Option("--date", metavar="YYYY-MM-DD", callback=check_day, help="Take this publish day.")]
