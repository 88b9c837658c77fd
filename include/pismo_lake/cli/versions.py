"""Migrate ledgers, check their versions, and find the ledgers that options name."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.errors import ConfigError, NoLedgerError
from pismo_lake.ledger.engine import open_engine
from pismo_lake.ledger.migrate import migrate, migration_sql
from pismo_lake.ledger.sqlite_files import sqlite_file, sqlite_url
from pismo_lake.ledger.version import VERSION, advise_migration, read_version, refuse_version
from pismo_lake.paths import root_of
from pismo_lake.settings.deliveries import InvalidDelivery, find_delivery, load_deliveries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.cli.options import LakeOptions


def migrate_ledgers(urls: list[str], *, sql: bool) -> int:
    """Migrate ledgers one after the other, or print the statements that would do it.

    Args:
        urls: The SQLAlchemy URLs of the ledgers.
        sql: Only print the statements.
    """
    for url in urls:
        file = sqlite_file(url)
        if sql and file is not None and not file.exists():
            # asking an SQLite ledger would create it
            with open_engine("sqlite://") as engine:
                print(migration_sql(engine), end="")
            continue
        with open_engine(url) as engine:
            shown = engine.url.render_as_string(hide_password=True)
            if sql:
                print(migration_sql(engine) or f"-- ledger {shown} has version {VERSION} already\n", end="")
                continue
            found = migrate(engine)
        if found == VERSION:
            print(f"ledger {shown} has version {VERSION} already")
        else:
            done = "created" if found is None else f"migrated from version {found}"
            print(f"ledger {shown} {done}: it has version {VERSION} now")
    return 0


def check_ledgers(urls: list[str]) -> Iterator[tuple[str, str]]:
    """Yield ledgers and their versions, which are that of this program; change nothing.

    Raises:
        NoLedgerError: There is no such ledger.
        LedgerVersionError: A ledger is older or newer than this program.
    """
    for url in urls:
        file = sqlite_file(url)
        found, shown = None, url
        if file is None or file.exists():
            with open_engine(url) as engine, engine.connect() as connection:
                found = read_version(connection)
                if file is None:
                    shown = engine.url.render_as_string(hide_password=True)
        if found is None:
            msg = f"there is no ledger {shown}: to make one, {advise_migration(shown)}"
            raise NoLedgerError(msg)
        refuse_version(found, shown)
        yield shown, found


def ledger_urls(options: LakeOptions) -> list[str]:
    """Return the URLs of the ledgers that options name, or else the environment.

    --ledger decides alone. A deliveries file names the ledgers of all its deliveries, or of --delivery. The ledger of
    --lake is beside it, or in PISMO_LEDGER_URL.

    Raises:
        ConfigError: They name no ledger.
    """
    if options.ledger:
        return [options.ledger]
    usual = os.environ.get("PISMO_LEDGER_URL")
    deliveries = options.deliveries or os.environ.get("PISMO_DELIVERIES")
    if deliveries and not options.lake:
        return _of_file(deliveries, options.delivery, usual)
    lake = options.lake or os.environ.get("PISMO_LAKE")
    if usual:
        return [usual]
    if not lake:
        msg = "--ledger is missing, or --deliveries, or --lake"
        raise ConfigError(msg)
    root = root_of(lake)
    if not storage.is_local(root):
        msg = "--ledger is missing: a lake in an object store has no place for an SQLite file"
        raise ConfigError(msg)
    return [sqlite_url(f"{root}-ledger.db")]


def _of_file(deliveries: str, name: str | None, usual: str | None) -> list[str]:
    """Return the ledgers of a deliveries file, each once; leave out invalid deliveries."""
    urls = dict[str, None]()
    for delivery in [find_delivery(deliveries, name)] if name else load_deliveries(deliveries):
        if isinstance(delivery, InvalidDelivery):
            print(f"delivery {delivery.name} is left out: {delivery.problem}", file=sys.stderr)
            continue
        url = delivery.ledger_url or usual
        if not url:
            msg = f"the ledger of {delivery.name} is in Airflow's connection {delivery.ledger_conn_id}: give --ledger"
            raise ConfigError(msg)
        urls[url] = None
    return list(urls)
