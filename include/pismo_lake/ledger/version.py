"""Read the version of a ledger, and advise how to get the one that this program needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import column, inspect, select, table

from pismo_lake.errors import LedgerVersionError

if TYPE_CHECKING:
    from sqlalchemy import Connection

VERSION = "0003"
"""The version that this program reads and writes: the last one in `migrations/versions`."""

VERSION_TABLE = "pismo_ledger_version"
"""Alembic's table of the version. Its usual name belongs to Airflow if both are in one database."""

UNNUMBERED = "0000"
"""The version of every ledger from before there were versions."""

_FIRST_TABLE = "pismo_files"
_PROGRAM = "python -m pismo_lake ledger"


def read_version(connection: Connection) -> str | None:
    """Return the version of the ledger in a database; None if there is no ledger."""
    seen = inspect(connection)
    if seen.has_table(VERSION_TABLE):
        found = connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
        if found is not None:
            return str(found)
    return UNNUMBERED if seen.has_table(_FIRST_TABLE) else None


def refuse_version(found: str, shown: str) -> None:
    """Refuse a ledger of another version.

    Args:
        found: the version of the ledger.
        shown: its URL without the password.

    Raises:
        LedgerVersionError: the version is older or newer than that of this program.
    """
    if found > VERSION:
        msg = (
            f"ledger {shown} has version {found}, and this program knows no later one than {VERSION}: install the"
            f" version of pismo-lake that migrated it ({_PROGRAM} check --ledger {shown} shows both)"
        )
        raise LedgerVersionError(msg)
    if found < VERSION:
        advice = f"pause the DAGs and {advise_migration(shown)}"
        msg = f"ledger {shown} has version {found}, and this program needs {VERSION}: {advice}"
        raise LedgerVersionError(msg)


def advise_migration(shown: str) -> str:
    """Return advice that names the command to create or migrate a ledger."""
    return f"run {_PROGRAM} migrate --ledger {shown}"
