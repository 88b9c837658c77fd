"""Take over an index that a worker process made before its file's turn."""

from __future__ import annotations

import logging
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.index.make import MadeIndex
    from pismo_lake.ledger.raw_files import RawFile

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ahead:
    """An index made before its file's turn, with its contracts' versions and the file's SHA-256."""

    index: MadeIndex
    sha256: str
    versions: Mapping[tuple[str, str], int]

    def holds(self, contracts: ContractStore) -> bool:
        """Return whether indexing the file now would give the same index."""
        if self._is_same(contracts):
            return True
        # another run may have saved the contracts that the worker read: refresh, and compare again
        contracts.refresh()
        return self._is_same(contracts)

    def _is_same(self, contracts: ContractStore) -> bool:
        return all(contracts.version(*key) == version for key, version in self.versions.items())


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
