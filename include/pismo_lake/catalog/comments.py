"""Return the comments of a table's columns: the descriptions that schemas have for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pismo_lake.contracts.columns import payload_columns
from pismo_lake.contracts.describe import declared_node
from pismo_lake.contracts.lists import child_columns, item_columns, list_name
from pismo_lake.contracts.store import ContractStore
from pismo_lake.paths import items_folder, type_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pismo_lake.contracts.columns import Column
    from pismo_lake.contracts.tree import Node
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings


_MOST_BYTES = 255
"""The longest comment of a column that Glue takes."""


def comments_of(settings: LakeSettings, ledger: Ledger, folder: str) -> dict[str, str]:
    """Return the descriptions of the columns of a folder's table, by column; none without a schema."""
    contracts = ContractStore(ledger, settings)
    for domain, event_type in contracts.names():
        of_type = type_folder(domain, event_type)
        if folder != of_type and not folder.startswith(of_type.replace("events/", "items/", 1)):
            continue
        declared, contract = contracts.find_declared(domain, event_type), contracts.of(domain, event_type)
        if folder == of_type:
            return _abouts(payload_columns(contract), declared)
        for column in child_columns(contract):
            if folder == items_folder(domain, event_type, list_name(column)):
                return _abouts(item_columns(column), declared)
    return {}


def _abouts(columns: Iterable[Column], declared: Node | None) -> dict[str, str]:
    found = ((column.name, declared_node(column, declared)) for column in columns)
    return {name: _shorten(" ".join(node.about.split())) for name, node in found if node is not None and node.about}


def _shorten(text: str) -> str:
    data = text.encode()
    return text if len(data) <= _MOST_BYTES else f"{data[: _MOST_BYTES - 3].decode(errors='ignore')}…"
