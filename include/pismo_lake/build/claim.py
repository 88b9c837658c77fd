"""Claim a part: only the holder of the claim may write, record or remove files of the part.

The claim is the fence, too. On a local disk a file gets its name, or loses it, in a transaction that holds the record
of the part: a builder that was overtaken cannot write any more, however long it slept between its check and its write.
A request to an object store cannot be fenced: it may arrive after its builder was overtaken. There the builder removes
the file at its next step. If it dies before that, `pismo_lake.check` finds the file.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from pismo_lake import storage
from pismo_lake.build.heartbeat import beat_while
from pismo_lake.errors import LedgerError
from pismo_lake.ledger.builds import OutputInUseError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from sqlalchemy import Connection

    from pismo_lake.build.draft import Write
    from pismo_lake.ledger import FileRecord
    from pismo_lake.ledger.builds import BuildLedger


class ClaimLostError(Exception):
    """Another builder claimed the part later: it knows at least the files that we know."""


class Claim:
    """One builder's claim on a part.

    With a `token`, the claim is one that an earlier task of the same run has made. It is not released if the work
    fails, so that the task can be tried again.

    Every method raises `ClaimLostError` if another builder has taken over.
    """

    def __init__(
        self, builds: BuildLedger, lake: str, part: int, log: logging.Logger, token: str | None = None
    ) -> None:
        self._builds, self._lake, self._log = builds, lake, log
        self.part = part
        self._is_shared = token is not None
        self.token = token or builds.claim(part)
        self._written: list[str] = []

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Show that the work continues while the block runs; release the claim if the block fails.

        A killed process releases nothing; the next builder takes its claim over.
        """
        try:
            with beat_while(self._builds, self.part, self.token, self._log):
                yield
        except BaseException:
            if not self._is_shared:
                self.release()
            raise

    def release(self) -> None:
        """Give the claim back, so that the part is as it was."""
        try:
            self._builds.release(self.part, self.token)
        except (LedgerError, SQLAlchemyError) as error:
            # the error of the build itself matters more; the next builder takes the claim over
            self._log.warning("the claim on part %d was not released: %s", self.part, type(error).__name__)

    def check(self) -> None:
        """Raise an error if another builder has taken over.

        Raises:
            ClaimLostError: another builder has taken over.
        """
        if self._builds.holds(self.part, self.token):
            return
        self._clean_up()
        raise ClaimLostError

    def write(self, path: str, write: Write) -> None:
        """Write an output at a path below the lake, if the claim still holds at the end."""
        self._written.append(path)
        try:
            write(storage.join(self._lake, path), gate=self._fence)
        except ClaimLostError:
            self._clean_up()
            raise

    @contextmanager
    def _fence(self) -> Iterator[None]:
        with self._builds.lock_claim(self.part, self.token) as holds:
            if not holds:
                raise ClaimLostError
            yield

    def _clean_up(self) -> None:
        """Remove this builder's files in an object store that the part's record does not name.

        On a local disk there are none: each file was there before the claim was lost, so that the next builder found
        it among the planned ones.
        """
        if storage.is_local(self._lake):
            return
        record = self._builds.part(self.part)
        kept = {*record.outputs, *record.superseded} if record else set()
        for path in self._written:
            if path not in kept:
                storage.remove(storage.join(self._lake, path))

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
            self._clean_up()
            raise ClaimLostError
        return superseded

    def remove_part(self, kept: Collection[str] = ()) -> None:
        """Remove the files and the record of a part without raw files; leave the kept files, and a record of them."""
        self.check()
        record = self._builds.part(self.part)
        if record is not None:
            for path in {*record.outputs, *record.superseded}.difference(kept):
                storage.remove(storage.join(self._lake, path), gate=self._fence)
        self._builds.drop(self.part, self.token, kept)


def remove_superseded(builds: BuildLedger, lake: str, part: int, superseded: Iterable[str]) -> None:
    """Remove the files that a part has replaced, and note that they are removed.

    A file is left that another builder needs, or removes itself, since this one recorded the part.
    """
    removed = []
    for path in superseded:
        try:
            storage.remove(storage.join(lake, path), gate=partial(builds.lock_superseded, part, path))
        except OutputInUseError:
            continue
        removed.append(path)
    builds.record_removed(part, removed)
