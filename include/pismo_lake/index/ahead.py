"""Take over an index that a worker process made before its file's turn."""

from __future__ import annotations

import logging
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pismo_lake.index.make import index_file
from pismo_lake.paths import safe_segment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pismo_lake.contracts.contract import Contract
    from pismo_lake.contracts.store import ContractStore, Key
    from pismo_lake.decode.container import Plain
    from pismo_lake.index.make import MadeIndex
    from pismo_lake.index.table import IndexedFile
    from pismo_lake.ledger.raw_files import RawFile

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ahead:
    """An index made before its file's turn, with its contracts' versions and the file's SHA-256.

    `learned` are the contracts that learned from the file.
    """

    index: MadeIndex
    sha256: str
    versions: Mapping[Key, int]
    learned: Mapping[Key, Contract] = field(default_factory=dict)

    def is_taken(self, contracts: ContractStore, name: str) -> bool:
        """Save the contracts that learned from the file if indexing it now would give the same index.

        Return False if the file must be indexed again.
        """
        if not self._holds(contracts):
            # another run may have saved the contracts that the worker read: refresh, and compare again
            contracts.refresh()
            if not self._holds(contracts):
                return False
        contracts.adopt({key: each for key, each in self.learned.items() if self._is_present(key, contracts)})
        return contracts.save(name)

    def _holds(self, contracts: ContractStore) -> bool:
        return all(self._is_same_under(contracts, key) for key in self.versions)

    def _is_same_under(self, contracts: ContractStore, key: Key) -> bool:
        """Return whether the index of an event type would be the same under its present contract."""
        if key not in self.learned:
            return contracts.extends(key, self.versions[key])
        return self._is_present(key, contracts) or contracts.knows(key, self.versions[key], self.learned[key])

    def _is_present(self, key: Key, contracts: ContractStore) -> bool:
        return contracts.version(*key) == self.versions[key]


def index_early(plain: Plain, contracts: ContractStore) -> tuple[IndexedFile, dict[Key, int], dict[Key, Contract]]:
    """Index a file with the present contracts, and save none of them.

    Returns:
        The index, the versions of the contracts that it was made with, and the contracts that learned from the file.

    Raises:
        FramingError: the bytes hold too many values to be events.
    """
    contracts.refresh()
    versions: dict[Key, int] = {}

    def contract_of(domain: str, event_type: str) -> Contract:
        key = (safe_segment(domain), safe_segment(event_type))
        if key not in versions:
            versions[key] = contracts.version(*key)
        return contracts.of(*key)

    try:
        found = index_file(plain, contract_of)
    finally:
        learned = contracts.forget_learned()
    return found, versions, learned


class Indexers(Protocol):
    """Processes that index files before their turn."""

    @property
    def jobs(self) -> int:
        """Return the number of processes."""

    def index(self, file: RawFile) -> Future[Ahead | None] | None:
        """Begin to index a landed file; return None if it cannot be indexed before its turn."""

    def index_alone(self, file: RawFile) -> Ahead | None:
        """Index a file again, in a process of its own, after a process ended unexpectedly."""


def result_of(future: Future[Any] | None) -> Any:
    """Return a worker's result; None if there is none, or if the workers are gone.

    Then the caller does the work itself.
    """
    if future is None:
        return None
    try:
        return future.result()
    except BrokenExecutor:
        _LOG.warning("a worker process ended (killed, or out of memory?): this process does its work")
        return None
