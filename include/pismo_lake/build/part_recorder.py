"""Write the Parquet files of a claimed part, and record them: plan, write, record."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pismo_lake.paths import output_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from pismo_lake.build.claim import Claim
    from pismo_lake.build.draft import Draft
    from pismo_lake.ledger import FileRecord


class OutdatedError(Exception):
    """A part must be written again before it is recorded; the text names the change."""


class PartRecorder:
    """Give the files of a claimed part their names in the lake, and record them in one transaction.

    `verify` runs in that transaction. It raises an error if the files must not be recorded.
    """

    def __init__(
        self, delivery: str, unit: str, checkpoint: Callable[[str], None], verify: Callable[[Connection], None]
    ) -> None:
        self._delivery, self._unit, self._checkpoint, self._verify = delivery, unit, checkpoint, verify

    def write(
        self,
        claim: Claim,
        files: Sequence[FileRecord],
        drafted: AbstractContextManager[Draft],
        fingerprint: Callable[[dict[str, Any]], str],
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Read, plan, write and record a claimed part; return its counts and the paths to remove.

        `fingerprint` makes the fingerprint of the part from its counts.
        """
        started = time.monotonic()
        written: list[str] = []
        digests: dict[str, str] = {}
        try:
            with drafted as draft:
                digest = fingerprint(draft.counts)
                claim.plan([self._path(folder, number, digest) for folder, number in draft.planned])
                for output in draft.outputs:
                    self._checkpoint("write")
                    path = self._path(output.folder, output.number, digest)
                    claim.write(path, output.write)
                    written.append(path)
                    digests[path] = output.sha256
        except OSError:
            # a builder that took over may have removed files of this one from the disk
            claim.check()
            raise
        # a report compares them with the files in the lake
        draft.counts["digests"] = digests
        draft.counts["seconds"] = round(time.monotonic() - started, 3)
        self._checkpoint("record")
        return draft.counts, claim.commit(sorted(written), digest, draft.counts, files, self._verify)

    def _path(self, folder: str, number: int, digest: str) -> str:
        return f"{folder}/{output_name(self._delivery, self._unit, number, digest)}"
