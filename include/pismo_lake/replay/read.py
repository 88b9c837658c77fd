"""Read the bytes of planned events, a block at a time, so that memory does not depend on their number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pismo_lake.decode.container import uncompress
from pismo_lake.errors import FramingError, LandedFileError
from pismo_lake.index.landed import landed_bytes
from pismo_lake.ledger import FileLedger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.replay.plan import Plan
    from pismo_lake.settings.lake import LakeSettings

BLOCK_BYTES = 32 << 20
BLOCK_EVENTS = 20_000


@dataclass(frozen=True, slots=True)
class PlannedEvent:
    """An event of a plan with its bytes, or the problem why they cannot be read."""

    position: int
    name: str
    offset: int
    key: bytes
    raw: bytes = b""
    problem: str = ""

    @property
    def is_blank(self) -> bool:
        """Return whether an erasure has blanked its bytes."""
        return not self.problem and not self.raw.strip(b" ")


class PlanReader:
    """Reads the events of a plan from landing.

    A block may need parts of many files. Each of them is read once for a block, checked against its digest, and let go
    before the next one.
    """

    def __init__(self, settings: LakeSettings, ledger: Ledger, plan: Plan) -> None:
        self._settings, self._plan = settings, plan
        found = FileLedger(ledger, settings.lake, settings.delivery).find_named(plan.files)
        self._records: dict[str, FileRecord] = {record.name: record for record in found}
        self._ends = np.cumsum(plan.length)

    def events(self, start: int) -> Iterator[PlannedEvent]:
        """Yield the events from a position on, in order."""
        while start < len(self._plan):
            end = self._end_of_block(start)
            yield from self._read_block(start, end)
            start = end

    def _end_of_block(self, start: int) -> int:
        before = int(self._ends[start - 1]) if start else 0
        end = int(np.searchsorted(self._ends, before + BLOCK_BYTES, side="right"))
        return min(max(end, start + 1), start + BLOCK_EVENTS, len(self._plan))

    def _read_block(self, start: int, end: int) -> list[PlannedEvent]:
        plan, found = self._plan, [PlannedEvent(0, "", 0, b"")] * (end - start)
        files = plan.file[start:end]
        for number in np.unique(files):
            name = plan.files[int(number)]
            places = np.flatnonzero(files == number)
            try:
                data, problem = self._read(name), ""
            except (LandedFileError, FramingError) as error:
                # the events of other files are sent; this reason is listed with each event of this file
                data, problem = b"", str(error)
            for place in places:
                at = start + int(place)
                offset, length = int(plan.offset[at]), int(plan.length[at])
                raw = data[offset : offset + length]
                found[int(place)] = PlannedEvent(at, name, offset, _key(plan.key[at]), raw, problem)
        return found

    def _read(self, name: str) -> bytes:
        record = self._records.get(name)
        if record is None:
            msg = f"{name} is not in the ledger any more"
            raise LandedFileError(msg, key="", name=name)
        return uncompress(landed_bytes(record), name, record.plain_size or self._settings.max_plain_bytes).data


def _key(key: bytes) -> bytes:
    """Return the 16 bytes of a key; numpy leaves out zeros at its end."""
    return bytes(key).ljust(16, b"\0")
