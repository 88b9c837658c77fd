"""List the tables of a lake: of event types, of lists, of rejects and of day reports."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from pismo_lake import storage
from pismo_lake.contracts.lists import child_columns, list_name
from pismo_lake.ddl.columns import describe_events, describe_items, describe_rejects, describe_reports
from pismo_lake.ddl.names import REJECTS, REPORT_VALUES, GivenNames
from pismo_lake.ddl.short_names import short_names, view_name
from pismo_lake.ddl.texts import one_line
from pismo_lake.errors import ConfigError
from pismo_lake.paths import items_folder, type_folder
from pismo_lake.spelling import identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.ddl.columns import DescribedColumn
    from pismo_lake.settings.lake import LakeSettings

_PARTITION = re.compile(r"/(?:event|publish)_date=(\d{4}-\d\d-\d\d)/")
_VERSIONED = re.compile(r"(.*?)(?:-(\d+))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class DescribedTable:
    """A table of the lake as query engines get it: with names, views, and described columns.

    Attributes:
        event_type: The event type with its version, and after `__` the list of a child table; empty for rejects and
            reports.
        name: The name of the table, which has the columns of the files.
        folder: The folder below the lake.
        columns: The columns, that of the path's date first.
        shorts: The names of the columns of its view, by column.
        view: The name of that view; empty if the table has none.
        family: The folder for all versions of the event type, with `*` for the version.
        event: The event type without its version.
        version: The version; empty if the event type has none.
        item: The list of a child table.
        about: A description of the event type.
        together: The name of the view of all versions.
        together_shorts: The names of the columns of that view.
        earlier: The table had a view with the suffix of version 1.0.
    """

    domain: str
    event_type: str
    name: str
    folder: str
    columns: tuple[DescribedColumn, ...]
    shorts: dict[str, str] = field(default_factory=dict)
    lake: str = ""
    view: str = ""
    family: str = ""
    event: str = ""
    version: str = ""
    item: str = ""
    about: str = ""
    together: str = ""
    together_shorts: dict[str, str] = field(default_factory=dict)
    earlier: bool = False

    @property
    def schema(self) -> pa.Schema:
        """The columns of its files, without the date of the path."""
        return pa.schema([pa.field(column.name, column.type) for column in self.columns[1:]])

    @property
    def is_of_events(self) -> bool:
        """Whether the rows are from events, and not about files or days."""
        return bool(self.event_type)

    def dates(self) -> tuple[date, date] | None:
        """Return the first and the last date of its files; None without files."""
        found, folder = set(), storage.join(self.lake, self.folder)
        for uri in storage.list_files(folder) if self.lake else ():
            if match := _PARTITION.match(uri.removeprefix(folder)):
                found.add(date.fromisoformat(match[1]))
        return (min(found), max(found)) if found else None


def refuse_kept_files(settings: LakeSettings) -> None:
    """Refuse tables over the folders of a lake that keeps replaced files for older snapshots.

    Raises:
        ConfigError: the lake keeps them.
    """
    if settings.tables is not None and settings.tables.keeps_files:
        msg = (
            f"{settings.lake} keeps replaced files for older snapshots (remove_files: after_snapshots), so tables over"
            " its folders would have rows twice: read it through its catalog, or give --over catalog"
        )
        raise ConfigError(msg)


def lake_tables(lake: str, contracts: ContractStore, domains: Sequence[str] = ()) -> list[DescribedTable]:
    """Return a table for each event type of the contracts, and for each child table with files.

    If there are files, the tables of rejects and of day reports follow. With `domains`, there are only the tables of
    these. The names are kept in the lake. In a read-only lake, new names are given but not kept.
    """
    while True:
        given = GivenNames.load(lake)
        found = _name_columns(list(_name_tables(lake, contracts, domains, given)), given)
        if given.is_current():
            given.save()
            return found if domains else [*found, *_other_tables(lake)]


def _name_tables(
    lake: str, contracts: ContractStore, domains: Sequence[str], given: GivenNames
) -> Iterator[DescribedTable]:
    known = contracts.names()
    # name all of them, also those that were not asked for: if two types differ only in signs, one gets a number
    for domain, event_type in known:
        given.table(type_folder(domain, event_type), identifier(f"{domain}__{event_type}"))
    for domain, event_type in known:
        event, version = _split_version(event_type)
        given.view(_family(domain, event), view_name(domain, event))
        given.view(type_folder(domain, event_type), view_name(domain, event, version))
    for domain, event_type in known:
        if not domains or domain in domains:
            yield from _tables_of(lake, contracts, given, domain, event_type)


def _tables_of(
    lake: str, contracts: ContractStore, given: GivenNames, domain: str, event_type: str
) -> Iterator[DescribedTable]:
    """Yield the table of an event type and its child tables."""
    contract, declared = contracts.of(domain, event_type), contracts.find_declared(domain, event_type)
    event, version = _split_version(event_type)
    folder, family = type_folder(domain, event_type), _family(domain, event)
    columns = describe_events(contract, declared, contracts.privacy, f"{domain}/{event_type}")
    table = DescribedTable(
        domain, event_type, given.table(folder, ""), folder, tuple(columns), lake=lake, event=event, version=version,
        view=given.view(folder, ""), family=family, together=given.view(family, ""), earlier=folder in given.earlier,
        about=one_line(declared.about) if declared else "",
    )  # fmt: skip
    yield table
    for column in child_columns(contract):
        item = list_name(column)
        folder, every = items_folder(domain, event_type, item), f"items/{family}__{item}"
        name = given.table(folder, f"{table.name}__{identifier(item)}")
        # a view over an empty folder is refused by DuckDB
        if any(True for _ in storage.list_files(storage.join(lake, folder))):
            items = describe_items(column, declared, contracts.privacy, f"{domain}/{event_type}")
            yield replace(
                table, event_type=f"{event_type}__{item}", name=name, folder=folder, columns=tuple(items), item=item,
                view=given.view(folder, view_name(domain, event, version, item)), family=every, about="",
                together=given.view(every, view_name(domain, event, item=item)), earlier=folder in given.earlier,
            )  # fmt: skip


def _split_version(event_type: str) -> tuple[str, str]:
    match = _VERSIONED.fullmatch(event_type)
    assert match is not None  # every text matches
    return match[1], match[2] or ""


def _family(domain: str, event: str) -> str:
    return f"{type_folder(domain, event)}-*"


def _name_columns(tables: list[DescribedTable], given: GivenNames) -> list[DescribedTable]:
    """Return the tables with the names of their views' columns."""
    families = families_of(tables)
    return [
        replace(
            table,
            shorts=_name_of_each([table], table.folder, given),
            together_shorts=_name_of_each(families[table.family], table.family, given),
        )
        for table in tables
    ]


def _name_of_each(tables: Sequence[DescribedTable], folder: str, given: GivenNames) -> dict[str, str]:
    """Return the short names of the columns of a view over tables."""
    columns = list(dict.fromkeys(column.name for table in tables for column in table.columns))
    return given.columns_of(folder, lambda names: short_names(columns, names))


def families_of(tables: Sequence[DescribedTable]) -> dict[str, list[DescribedTable]]:
    """Return the tables of events by their family, the versions of each in order."""
    found: dict[str, list[DescribedTable]] = {}
    for table in tables:
        if table.is_of_events:
            found.setdefault(table.family, []).append(table)
    return {family: sorted(some, key=lambda table: int(table.version or 0)) for family, some in found.items()}


def _other_tables(lake: str) -> Iterator[DescribedTable]:
    """Yield the tables of rejects and of day reports that have files."""
    for name, folder, columns in (
        (REJECTS, "rejects", describe_rejects()),
        (REPORT_VALUES, "reports", describe_reports()),
    ):
        if any(uri.endswith(".parquet") for uri in storage.list_files(storage.join(lake, folder))):
            yield DescribedTable("", "", name, folder, tuple(columns), lake=lake)
