"""An index that a worker process made before the turn of its file."""

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
    """An index made ahead of its file's turn, the file's SHA-256, and the versions of the contracts behind it."""

    index: MadeIndex
    sha256: str
    versions: Mapping[tuple[str, str], int]

    def holds(self, contracts: ContractStore) -> bool:
        """Whether the index is the one that would be made now."""
        if self._same(contracts):
            return True
        # another run may have saved what the worker read: to know it too is as good
        contracts.refresh()
        return self._same(contracts)

    def _same(self, contracts: ContractStore) -> bool:
        return all(contracts.version(*key) == version for key, version in self.versions.items())


class Indexers(Protocol):
    """Processes that index files before their turn."""

    @property
    def jobs(self) -> int:
        """Return the number of processes."""

    def index(self, file: RawFile) -> Future[Ahead | None] | None:
        """Begin to index a landed file; return None if it cannot be indexed before its turn."""

    def alone(self, file: RawFile) -> Ahead | None:
        """Index a file again, in a process of its own, after a process has ended."""


def result_of(future: Future[Any] | None) -> Any:
    """What a worker gave; None where there is nothing, or where the workers are gone: then it is done here."""
    if future is None:
        return None
    try:
        return future.result()
    except BrokenExecutor:
        _LOG.warning("a worker process ended (killed, or out of memory?): its work is done here")
        return None
