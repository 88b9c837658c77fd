"""Read the recorded changes of contracts from the ledger."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from pismo_lake.ledger.queries import chunks
from pismo_lake.ledger.tables import contract_changes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.ledger import Ledger


def changes_by_files(ledger: Ledger, lake: str, names: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return contract changes by their first file.

    Each is (event type, path, before, after, first file, seen at, first offset).
    """
    found: list[tuple[Any, ...]] = []
    table = contract_changes.c
    columns = [
        table.domain, table.event_type, table.path, table.before, table.after, table.first_file, table.seen_at,
        table.first_offset,
    ]  # fmt: skip
    with ledger.engine.connect() as connection:
        for chunk in chunks(names):
            query = select(*columns).where(table.lake == lake, table.first_file.in_(chunk)).order_by(table.id)
            found += [(f"{domain}/{event_type}", *rest) for domain, event_type, *rest in connection.execute(query)]
    return found


def count_changes(ledger: Ledger, lake: str, names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count the contract changes that files have made, by event type and kind.

    Kinds are ``added``, ``widened``, ``rescued`` and ``discarded``.
    """
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for event_type, _, before, after, *_ in changes_by_files(ledger, lake, names):
        verb = after.partition(" ")[0]
        kind = verb if verb in {"rescued", "discarded"} else "widened" if before else "added"
        found[event_type][kind] += 1
    return {event_type: dict(kinds) for event_type, kinds in found.items()}
