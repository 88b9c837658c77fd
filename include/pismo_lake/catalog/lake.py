"""Keep the tables of a lake equal to its ledger."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.catalog.comments import comments_of
from pismo_lake.catalog.coupling import Coupling
from pismo_lake.catalog.model import table_of
from pismo_lake.catalog.remembered import remember
from pismo_lake.catalog.sync import expire_tables, find_changes, look_again, sync_tables
from pismo_lake.errors import ConfigError
from pismo_lake.hours import DAY_LENGTH
from pismo_lake.ledger.table_files import TableFiles, read_table_files, table_folder
from pismo_lake.paths import REPORTS
from pismo_lake.settings.tables import refuse_key, refuse_store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    import pyarrow as pa

    from pismo_lake.catalog.model import Format, LakeTable, TableState
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings
    from pismo_lake.settings.tables import Tables


def open_tables(settings: LakeSettings, ledger: Ledger) -> Format:
    """Open the catalog of a lake once for an open ledger, and note it in the lake; the ledger closes it.

    Raises:
        ConfigError: the lake has no table format, or pyiceberg is not installed.
        TableBusyError: the catalog does not answer.
    """
    refuse_key(settings.delivery, settings.tables, settings.key)
    refuse_store(settings.delivery, settings.tables, settings.lake)
    given = tables_of(settings)
    # credentials that were renewed open it again
    key = (settings.lake, given.format, repr(given.catalog), tuple(sorted(given.secrets.items())))
    return ledger.keep(key, partial(_open, settings, ledger))


def _open(settings: LakeSettings, ledger: Ledger) -> Format:
    try:
        from pismo_lake.catalog.iceberg import IcebergTables
    except ImportError as error:
        msg = f"table_format needs pyiceberg: pip install -r requirements-iceberg.txt -c constraints.txt ({error})"
        raise ConfigError(msg) from error
    remember(settings)
    url = ledger.engine.url.render_as_string(hide_password=False)
    return IcebergTables(tables_of(settings), settings.lake, url, partial(comments_of, settings, ledger))


def tables_of(settings: LakeSettings) -> Tables:
    """Return the tables of a lake.

    Raises:
        ConfigError: the lake has no table format.
    """
    if settings.tables is None:
        msg = f"{settings.lake} has no table format: give --table-format, or table_format in the deliveries file"
        raise ConfigError(msg)
    return settings.tables


def commit_unit(
    settings: LakeSettings, ledger: Ledger, unit: str, paths: Iterable[str], *, without: Collection[str] = (),
    checkpoint: Callable[[str], None] | None = None,
) -> set[str]:  # fmt: skip
    """Commit the tables of some paths, after a unit was recorded and before superseded files are removed.

    The commit of a closed day forgets old snapshots, too.

    Args:
        settings: the lake.
        ledger: the ledger of the lake.
        unit: the unit that is complete.
        paths: outputs of the unit, and paths that they supersede, below the lake.
        without: paths that the caller is about to remove, although the ledger has them.
        checkpoint: gets the name of the next step. Tests kill the process in it.

    Returns:
        The paths that a table still needs: they must not be removed yet.
    """
    folders = {folder for path in paths if (folder := table_folder(path)) is not None}
    if not folders:
        return set()
    tables = open_tables(settings, ledger)
    left = sync_tables(
        tables, folders, partial(read_table_files, ledger, settings.lake),
        hold=Coupling(settings, ledger).hold, own={(settings.delivery, unit)}, without=without,
        checkpoint=checkpoint,
    )  # fmt: skip
    if len(unit) == DAY_LENGTH:
        forget_older(settings, ledger, folders)
    return left


def forget_older(settings: LakeSettings, ledger: Ledger, folders: Iterable[str]) -> None:
    """Let the tables of some folders forget the snapshots that the setting keeps no longer."""
    found = list(map(table_of, sorted(folders)))
    if found:
        expire_tables(open_tables(settings, ledger), found, tables_of(settings).snapshots_kept_hours)


def reached_paths(settings: LakeSettings, ledger: Ledger, folders: Iterable[str]) -> set[str]:
    """Return the paths that the tables of some folders need: with kept files, those of all snapshots."""
    tables, keeps = open_tables(settings, ledger), tables_of(settings).keeps_files

    def read(folder: str) -> set[str]:
        table = tables.open(table_of(folder))
        return set() if table is None else table.reached() if keeps else table.files()

    return {path for folder in sorted(folders) for path in look_again(partial(read, folder), [folder])}


def older_paths(settings: LakeSettings, ledger: Ledger) -> set[str]:
    """Return the paths that only older snapshots of the tables name; none if replaced files are removed at once."""
    if settings.tables is None or not settings.tables.keeps_files:
        return set()
    tables = open_tables(settings, ledger)

    def read(known: LakeTable) -> set[str]:
        table = tables.open(known)
        return set() if table is None else table.reached() - table.files()

    return {path for known in tables.tables() for path in look_again(partial(read, known), [known.folder])}


def find_differences(settings: LakeSettings, ledger: Ledger) -> dict[str, tuple[int, int, int]]:
    """Return by folder how many files the ledger has, the table lacks, and the table has too many."""
    tables = open_tables(settings, ledger)
    read = partial(_read_all, settings, ledger)
    return find_changes(tables, _every_folder(tables, read), read, Coupling(settings, ledger).hold)


def forget_snapshots(settings: LakeSettings, ledger: Ledger) -> None:
    """Forget every snapshot, tag and branch of all tables but the present snapshots, for an erasure."""
    tables = open_tables(settings, ledger)
    read = partial(_read_all, settings, ledger)
    sync_tables(tables, _every_folder(tables, read), read, hold=Coupling(settings, ledger).hold)
    expire_tables(tables, tables.tables())


def forget_all_older(settings: LakeSettings, ledger: Ledger, folders: Iterable[str]) -> None:
    """Forget every snapshot, tag and branch of the tables of some folders but the present snapshots."""
    expire_tables(open_tables(settings, ledger), list(map(table_of, sorted(folders))))


def commit_lake(settings: LakeSettings, ledger: Ledger, *, folders: Collection[str] | None = None) -> set[str]:
    """Commit every table of the lake that differs from the ledger, and the table of reports.

    Args:
        settings: the lake.
        ledger: the ledger of the lake.
        folders: the folders of the tables; by default of all.

    Returns:
        The paths that a table still needs, although the ledger does not have them.
    """
    tables = open_tables(settings, ledger)
    read = partial(_read_all, settings, ledger)
    every = _every_folder(tables, read) if folders is None else folders
    return sync_tables(tables, every, read, hold=Coupling(settings, ledger).hold)


def commit_reports(settings: LakeSettings, ledger: Ledger, uris: Iterable[str]) -> None:
    """Commit reports of days that were written; a report keeps its name if its content changes."""
    root = storage.join(settings.lake, "")
    renewed = {uri.removeprefix(root) for uri in uris if uri.endswith(".parquet")}
    tables = open_tables(settings, ledger)
    sync_tables(tables, [REPORTS], partial(_read_all, settings, ledger), renewed=renewed)


def snapshot_ids(settings: LakeSettings, ledger: Ledger, folders: Iterable[str]) -> dict[str, int]:
    """Return the id of the present snapshot of the tables of some folders, by the name of the table."""
    tables = open_tables(settings, ledger)
    states = [state for folder in folders if (state := tables.state(table_of(folder))) is not None]
    return {state.name: state.snapshot_id for state in states if state.snapshot_id is not None}


def committed_columns(settings: LakeSettings, ledger: Ledger) -> dict[str, tuple[TableState, pa.Schema]]:
    """Return the state and the columns of every table of the lake that has a snapshot, by its folder."""
    tables = open_tables(settings, ledger)
    found = {known.folder: (tables.state(known), tables.columns(known)) for known in tables.tables()}
    return {
        folder: (state, columns)
        for folder, (state, columns) in found.items()
        if state is not None and state.snapshot_id is not None and columns is not None
    }


def _every_folder(tables: Format, read: Callable[[], TableFiles]) -> set[str]:
    """Return the folders of all tables: those of the catalog, and those of the ledger."""
    return {table.folder for table in tables.tables()} | read().folders.keys()


def _read_all(settings: LakeSettings, ledger: Ledger) -> TableFiles:
    """Read the ledger, and list the reports, which it does not know."""
    found = read_table_files(ledger, settings.lake)
    root = storage.join(settings.lake, "")
    reports = {
        uri.removeprefix(root)
        for uri in storage.list_files(storage.join(settings.lake, REPORTS))
        if uri.endswith(".parquet")
    }
    return replace(found, folders=found.folders | ({REPORTS: reports} if reports else {}))
