"""Write the Parquet files of one group of a closing day, from the hours' files or from the raw files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pismo_lake import storage
from pismo_lake.build.day_plan import IDS, REJECTS
from pismo_lake.build.hour_rows import HourRows
from pismo_lake.build.read import KeptPayloads, PartRows, read_part
from pismo_lake.build.tables import count_rescued, tables
from pismo_lake.index.ids import ids_folder, write_ids
from pismo_lake.index.landed import landed_bytes, landed_map
from pismo_lake.storage.partition_writer import PartitionFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from pismo_lake.build.day_plan import DayPlan
    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.index.dedupe import Verdict
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.settings.lake import LakeSettings


@dataclass(frozen=True, slots=True)
class DayFile:
    """A finished Parquet file: its folder in the lake, its number there, its place now, its SHA-256.

    `mark` is the size and the mark of its version, if its place is an object store.
    """

    folder: str
    number: int
    place: str
    sha256: str
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class GroupFiles:
    """The files of one group, its rows by folder, and its counts; `taken` raw files were not parsed."""

    files: tuple[DayFile, ...]
    rows: dict[str, int]
    rescued: int
    ids: int
    taken: int

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> GroupFiles:
        """Return the files that `to_json` described."""
        return cls(**values | {"files": tuple(DayFile(**file) for file in values["files"])})


def write_group(
    settings: LakeSettings, ledger: Ledger, contracts: ContractStore, plan: DayPlan, group: int, day: str,
    folder: Path, proceed: Callable[[Sequence[FileRecord]], None],
) -> GroupFiles:  # fmt: skip
    """Write the files of a group into a folder of this machine, chunk by chunk.

    `proceed` gets the raw files of each chunk before they are read, and may raise an error.

    Raises:
        LandedFileError: a raw file is not as it was landed.
    """
    types, pieces = plan.types(group), plan.groups[group]
    partitions = PartitionFiles(folder, settings.target_bytes, settings.key)
    payloads = KeptPayloads(settings, contracts.get)
    hours = HourRows(settings, ledger, contracts, plan.files, plan.same, types)
    rescued = 0
    for number, chunk in enumerate(plan.chunks()):
        proceed(chunk)
        taken = hours.of(chunk)
        if number % len(plan.groups) == group and (taken is not None or len(plan.groups) > 1):
            # one of the groups compares each raw file with its landing
            _check(chunk)
        rows = PartRows()
        if taken is None and types:
            rows = read_part(chunk, plan.verdicts, payloads, only=types)
        elif REJECTS in pieces:
            rows = read_part(list(_with_rejects(chunk, plan.verdicts)), plan.verdicts, bodies=False)
            rows.groups.clear()
        if REJECTS not in pieces:
            rows.rejects = []
        for place, table in _made(rows, taken, settings, contracts, day):
            partitions.add(place, table)
            rescued += count_rescued(place, table)
    written = partitions.finish()
    files = [(place, paths) for place, (paths, _) in written.items()]
    ids = 0
    if IDS in pieces:
        path = folder / "ids.parquet"
        ids = write_ids(plan.files, path)
        files.append((ids_folder(day), [path]))
    return GroupFiles(
        tuple(
            DayFile(place, number, str(path), storage.sha256(str(path)))
            for place, paths in files
            for number, path in enumerate(paths)
        ),
        {place: rows for place, (_, rows) in written.items()},
        rescued,
        ids,
        hours.files,
    )


def _made(
    rows: PartRows, taken: dict[str, pa.Table] | None, settings: LakeSettings, contracts: ContractStore, day: str
) -> Iterator[tuple[str, pa.Table]]:
    """Yield (folder, table) of taken rows, and of the rows and rejects that are parsed."""
    yield from sorted((taken or {}).items())
    yield from tables(rows, settings, day, contracts.get)


def _with_rejects(files: Iterable[FileRecord], verdicts: dict[str, Verdict]) -> Iterator[FileRecord]:
    for record in files:
        if record.status == "unreadable" or record.rejects or verdicts[record.name].conflict.any():
            yield record


def _check(files: Iterable[FileRecord]) -> None:
    """Compare raw files with the digests of their landing."""
    for record in files:
        if record.framing == "plain" and record.size and storage.is_local(record.raw_uri):
            landed_map(record)
        else:
            landed_bytes(record)
