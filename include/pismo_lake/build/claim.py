"""Claim a part: only the holder may write, record or remove files of the part."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from pismo_lake import storage
from pismo_lake.build.heartbeat import beat_while
from pismo_lake.errors import LedgerError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import Connection

    from pismo_lake.ledger import FileRecord
    from pismo_lake.ledger.builds import BuildLedger


class ClaimLostError(Exception):
    """Another builder claimed the part later: it knows at least the files that we know."""


class Claim:
    """One builder's claim on a part.

    Every method raises `ClaimLostError` if another builder has taken over.
    """

    def __init__(self, builds: BuildLedger, lake: str, part: int, log: logging.Logger) -> None:
        self._builds, self._lake, self._log = builds, lake, log
        self.part = part
        self.token = builds.claim(part)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Show that the work continues while the block runs; release the claim if the block fails.

        A killed process releases nothing; the next builder takes its claim over.
        """
        try:
            with beat_while(self._builds, self.part, self.token, self._log):
                yield
        except BaseException:
            self._release()
            raise

    def _release(self) -> None:
        try:
            self._builds.release(self.part, self.token)
        except (LedgerError, SQLAlchemyError) as error:
            # the error of the build itself matters more; the next builder takes the claim over
            self._log.warning("the claim on part %d was not released: %s", self.part, type(error).__name__)

    def check(self, written: Iterable[str] = ()) -> None:
        """Raise an error if another builder has taken over.

        Args:
            written: paths below the lake that this builder wrote. Before the error is raised, paths that are not in
                the
                record of the part are removed.

        Raises:
            ClaimLostError: another builder has taken over.
        """
        if self._builds.holds(self.part, self.token):
            return
        record = self._builds.part(self.part)
        kept = {*record.outputs, *record.superseded} if record else set()
        remove_outputs(self._lake, [path for path in written if path not in kept])
        raise ClaimLostError

    def plan(self, outputs: Sequence[str]) -> None:
        """Record the files that may be written, before the first one is written."""
        if not self._builds.plan(self.part, self.token, outputs):
            raise ClaimLostError

    def commit(
        self, outputs: Sequence[str], fingerprint: str, counts: dict[str, Any], files: Sequence[FileRecord],
        verify: Callable[[Connection], None],
    ) -> tuple[str, ...]:  # fmt: skip
        """Record the written files, end the claim, and return the paths that these files replace.

        `verify` runs in the same transaction. It raises an error if the files must not be recorded.
        """
        superseded = self._builds.commit(
            self.part, self.token, fingerprint=fingerprint, outputs=outputs, counts=counts, taken_in=files,
            verify=verify,
        )  # fmt: skip
        if superseded is None:
            self.check(outputs)
            raise ClaimLostError
        return superseded

    def remove_part(self) -> None:
        """Remove all files, and the record, of a part without raw files."""
        self.check()
        record = self._builds.part(self.part)
        if record is not None:
            remove_outputs(self._lake, (*record.outputs, *record.superseded))
        self._builds.drop(self.part, self.token)


def remove_outputs(lake: str, outputs: Iterable[str]) -> None:
    """Remove files below a lake; a missing file is no error."""
    for output in outputs:
        storage.remove(storage.join(lake, output))
