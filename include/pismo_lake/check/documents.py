"""Compare the documents of contracts in the lake with the contracts in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pismo_lake import storage
from pismo_lake.check.model import Finding, Kind, WriteContract
from pismo_lake.contracts.store import ContractStore
from pismo_lake.errors import LakeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings


def check_contracts(settings: LakeSettings, ledger: Ledger) -> Iterator[Finding]:
    """Yield the findings on contracts.

    Without their documents, a lost ledger learns contracts again, perhaps with another result. A contract may change
    while it is compared. So one that differs is compared once more.
    """
    store = ContractStore(ledger, settings)
    contracts = store.read_saved()
    differing = [key for key, contract in sorted(contracts.items()) if _describe_difference(store, key, *contract)]
    contracts = store.read_saved() if differing else {}
    for key in differing:
        if disk := _describe_difference(store, key, *contracts[key]):
            version, _ = contracts[key]
            yield Finding(Kind.CONTRACT, store.uri_of(key), f"version {version}", disk, WriteContract(*key))


def _describe_difference(store: ContractStore, key: tuple[str, str], version: int, tree: dict[str, Any]) -> str:
    """Return how a document differs from the ledger's contract; empty if it does not."""
    try:
        document = storage.read_json(store.uri_of(key))
    except FileNotFoundError:
        return "it is not there"
    except LakeError:
        return "it is no JSON document"
    if document == {"version": version, **tree}:
        return ""
    return f"another content of version {document.get('version')}"
