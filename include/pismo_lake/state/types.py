"""List the event types of a lake, and describe the columns of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_lake.contracts.describe import changes_of, column_lines
from pismo_lake.contracts.json_schema import forget_schemas
from pismo_lake.contracts.store import ContractStore

if TYPE_CHECKING:
    from pismo_lake.contracts.describe import ColumnLine
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings


@dataclass(frozen=True, slots=True)
class TypeLine:
    """An event type: its name, the number of its payload columns, and the origin of its contract."""

    name: str
    columns: int
    origin: str
    version: int


@dataclass(frozen=True, slots=True)
class DatedColumn:
    """A column of an event type, and the time since which the lake has it; empty if a schema brought it."""

    column: ColumnLine
    since: str


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a contract, with the first file that showed it."""

    path: str
    before: str
    after: str
    file: str
    offset: int | None
    seen_at: str


@dataclass(frozen=True, slots=True)
class TypeView:
    """An event type, its columns, its paths without a column, and its changes, the newest first."""

    name: str
    columns: tuple[DatedColumn, ...]
    noted: tuple[str, ...]
    changes: tuple[Change, ...]


def list_types(settings: LakeSettings, ledger: Ledger) -> tuple[TypeLine, ...]:
    """Return the event types of the lake by name."""
    forget_schemas()
    store = ContractStore(ledger, settings)
    return tuple(
        TypeLine(
            f"{domain}/{name}",
            sum(1 for _ in column_lines(store.of(domain, name), None)),
            "schema" if store.find_declared(domain, name) else "inferred",
            store.version(domain, name),
        )
        for domain, name in store.names()
    )


def view_type(settings: LakeSettings, ledger: Ledger, name: str) -> TypeView | None:
    """Return an event type by its name, ``<domain>/<event type>``; None if the lake has no such type."""
    # the process of a page lives long, and others pull schemas
    forget_schemas()
    store = ContractStore(ledger, settings)
    key = tuple(name.split("/", 1))
    if key not in set(store.names()):
        return None
    domain, event_type = key
    contract = store.of(domain, event_type)
    changes = [Change(*row) for row in changes_of(ledger, settings.lake, domain, event_type)]
    since: dict[str, str] = {}
    for change in changes:
        since.setdefault(_column_of(change.path), change.seen_at)
    columns = tuple(
        DatedColumn(line, since.get(line.name.lower(), ""))
        for line in column_lines(contract, store.find_declared(domain, event_type))
    )
    return TypeView(name, columns, tuple(sorted(contract.noted)), tuple(reversed(changes)))


def _column_of(path: str) -> str:
    """Return the column that a path most likely has: its segments, joined as columns are."""
    inside = path if path.startswith("/data/") else f"/envelope{path}"
    return inside.strip("/").replace("/", "__").lower()
