"""Open the lake that the options of a command name, with its ledger."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pismo_lake import storage
from pismo_lake.errors import ConfigError
from pismo_lake.ledger import LakeFiles, Ledger
from pismo_lake.ledger.binding import LakeBinding, refuse_new_ledger
from pismo_lake.ledger.sqlite_files import is_alone, sqlite_file, sqlite_url
from pismo_lake.paths import TABLES_NOTE, explain_wrong_places, root_of
from pismo_lake.settings.contracts import ContractRules
from pismo_lake.settings.lake import LakeSettings
from pismo_lake.settings.privacy import Privacy, PrivacyKey, load_privacy, parse_keys
from pismo_lake.spelling import list_in_words
from pismo_lake.storage.encryption import LakeKey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from enum import StrEnum
    from pathlib import Path

    from pismo_lake.cli.options import LakeOptions
    from pismo_lake.settings.deliveries import Delivery
    from pismo_lake.settings.tables import Tables

_VARIABLES = {
    "deliveries": "PISMO_DELIVERIES",
    "lake": "PISMO_LAKE",
    "landing": "PISMO_LANDING",
    "ledger": "PISMO_LEDGER_URL",
    "contracts": "PISMO_CONTRACTS",
    "privacy": "PISMO_PRIVACY",
    "kms_key": "PISMO_LAKE_KMS_KEY",
    "table_format": "PISMO_TABLE_FORMAT",
    "remove_files": "PISMO_REMOVE_FILES",
}


@contextmanager
def open_lake(
    options: LakeOptions, *, new: bool = False, checked: bool = True
) -> Iterator[tuple[LakeSettings, Ledger]]:
    """Open the lake of a command with its ledger, and close the ledger at the end.

    Landing and ledger are beside a local lake if no option says otherwise. An older SQLite ledger is migrated, because
    it belongs to this machine. A ledger on a server is not, because other machines may still run the older version.

    Raises:
        LedgerMismatchError: It is not the present ledger of the lake.
        LedgerVersionError: It has another version, and is not migrated.

    Args:
        options: The options of the command line.
        new: Create a ledger that does not exist, and remove it at the end if it is still empty. Other commands refuse,
            because an empty ledger has no faults and no files.
        checked: Refuse a ledger that is not the lake's present one. A command that does not refuse it makes the ledger
            again, and may create tables on a server.
    """
    settings, url = _of_deliveries(options) if _from_file(options) else _of_options(options)
    if checked and not Ledger.exists(url):
        refuse_new_ledger(url, settings.lake, settings.delivery, settings.landing)
    file = sqlite_file(url)
    made = [] if file is None or file.exists() else [file, *(path for path in file.parents if not path.exists())]
    empty = True
    try:
        with Ledger.open(url, new=new, migrated=file is not None or not checked) as ledger:
            ledger.run, empty = "command line", False
            try:
                if checked:
                    LakeBinding(ledger, settings.lake, settings.delivery, settings.landing).check()
                yield settings, ledger
            finally:
                empty = bool(made) and ledger.is_empty()
    finally:
        if made and empty:
            _remove(made)


def _remove(paths: list[Path]) -> None:
    """Remove an SQLite file, the files that SQLite keeps beside it, and the folders made for it."""
    if not paths[0].is_file() or is_alone(paths[0]):
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                paths[0].with_name(paths[0].name + suffix).unlink()
    for folder in paths[1:]:
        # a folder stays if it holds anything else
        with suppress(OSError):
            folder.rmdir()


def require_delivery(settings: LakeSettings, ledger: Ledger) -> None:
    """Refuse a delivery without files in the ledger, for example a misspelt name.

    Raises:
        ConfigError: the ledger has no file of the delivery in the lake.
    """
    there = LakeFiles(ledger, settings.lake).deliveries()
    if settings.delivery not in there:
        has = f"it knows {list_in_words(settings.delivery, there)}" if there else "it knows no other"
        msg = f"the ledger has no file of delivery {settings.delivery!r} in {settings.lake} ({has})"
        raise ConfigError(msg)


def configured_delivery(options: LakeOptions) -> Delivery | None:
    """Return the delivery whose entry in the deliveries file the options name; None if they name no entry."""
    return _read_delivery(options) if _from_file(options) else None


def _read_delivery(options: LakeOptions) -> Delivery:
    from pismo_lake.settings.deliveries import find_delivery

    return find_delivery(str(_find_value(options, "deliveries")), str(options.delivery))


def _from_file(options: LakeOptions) -> bool:
    # a lake in the call has precedence over a deliveries file of the environment
    return bool(options.delivery and not options.lake and _find_value(options, "deliveries"))


def _find_value(options: LakeOptions, name: str) -> str | None:
    """Return an option of the call, or else its environment variable."""
    given: str | None = getattr(options, name) or os.environ.get(_VARIABLES[name])
    return given


def _of_options(options: LakeOptions) -> tuple[LakeSettings, str]:
    given = {name: _find_value(options, name) for name in _VARIABLES}
    if not given["lake"]:
        msg = "--lake is missing, or --deliveries with --delivery"
        raise ConfigError(msg)
    # the ledger knows a lake by its path, so use the same path in every working directory
    lake = root_of(given["lake"])
    landing = root_of(given["landing"]) if given["landing"] else f"{lake}-landing"
    _refuse_wrong_places(given["landing"] or landing, given["lake"])
    if not given["ledger"] and not storage.is_local(lake):
        msg = "--ledger is missing: a lake in an object store has no place for an SQLite file"
        raise ConfigError(msg)
    rules = ContractRules(folder=given["contracts"])
    privacy, key = _privacy(given["privacy"]), _key(given["kms_key"])
    name = options.delivery or "local"
    tables = _tables(given["table_format"], given["remove_files"], lake)
    _refuse_unusable(name, tables, lake, key)
    settings = LakeSettings(name, landing, lake, contracts=rules, privacy=privacy, key=key, tables=tables)
    return settings, given["ledger"] or sqlite_url(f"{lake}-ledger.db")


def _of_deliveries(options: LakeOptions) -> tuple[LakeSettings, str]:
    """Return the settings that the DAGs have; the environment replaces Airflow's connections."""
    delivery = _read_delivery(options)
    url = options.ledger or delivery.ledger_url or _find_value(options, "ledger")
    if not url:
        msg = f"the ledger of {delivery.name} is in Airflow's connection {delivery.ledger_conn_id}: give --ledger"
        raise ConfigError(msg)
    policy = _privacy(options.privacy or delivery.privacy)
    settings = replace(delivery.settings, privacy=policy, key=_key(options.kms_key or delivery.lake_kms_key))
    _refuse_unusable(settings.delivery, settings.tables, settings.lake, settings.key)
    if options.contracts:
        settings = replace(settings, contracts=replace(settings.contracts, folder=options.contracts))
    if options.landing:
        _refuse_wrong_places(options.landing, settings.lake)
        settings = replace(settings, landing=root_of(options.landing))
    return settings, url


def _refuse_wrong_places(landing: str, lake: str) -> None:
    """Refuse a place that is no place, before a command makes a folder of its name.

    Raises:
        ConfigError: one is neither a path nor in a bucket, or one is inside the other.
    """
    if (why := explain_wrong_places(landing, lake)) is not None:
        raise ConfigError(why)


def _tables(table_format: str | None, remove_files: str | None, lake: str) -> Tables | None:
    """Return the tables that the lake remembers, or new ones of the named format; options of the call win."""
    noted = not storage.is_local(lake) or storage.exists(storage.join(lake, TABLES_NOTE))
    if table_format is None and remove_files is None and not noted:
        # the models of tables take time to import
        return None
    from pismo_lake.catalog.remembered import remembered
    from pismo_lake.settings.tables import FileRemoval, TableFormat, Tables

    _refuse_unknown("--table-format", table_format, TableFormat)
    _refuse_unknown("--remove-files", remove_files, FileRemoval)
    tables = remembered(lake) or (Tables(TableFormat(table_format)) if table_format else None)
    if remove_files is None:
        return tables
    if tables is None:
        msg = "--remove-files needs --table-format: files are kept for snapshots of tables"
        raise ConfigError(msg)
    return replace(tables, remove_files=FileRemoval(remove_files))


def _refuse_unknown(option: str, value: str | None, allowed: type[StrEnum]) -> None:
    if value is not None and value not in set(allowed):
        msg = f"{option} {value!r} is not known, allowed: {', '.join(allowed)}"
        raise ConfigError(msg)


def _refuse_unusable(name: str, tables: Tables | None, lake: str, key: LakeKey | None) -> None:
    if tables is not None:
        from pismo_lake.settings.tables import refuse_key, refuse_store

        refuse_key(name, tables, key)
        refuse_store(name, tables, lake)


def _key(kms_key: str | None) -> LakeKey | None:
    """Return the KMS key of the lake's files; the machine's AWS settings give access to it."""
    return LakeKey(kms_key, _kms) if kms_key else None


def _kms() -> Any:
    import boto3

    return boto3.client("kms")


def _privacy(policy: str | None) -> Privacy | None:
    """Return the named policy; read its keys from the environment, as others can see the call."""
    if not policy:
        return None
    key, earlier = os.environ.get("PISMO_PRIVACY_KEY"), os.environ.get("PISMO_PRIVACY_EARLIER_KEYS", "")
    return load_privacy(policy, PrivacyKey.parse(key) if key else None, parse_keys(earlier)).check_keys()
