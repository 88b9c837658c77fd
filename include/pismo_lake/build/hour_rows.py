"""Take a closing day's rows from its hours' Parquet files, if a parse of the raw files would give the same rows.

Rows are a function of the raw files, the verdict on their events, the contracts and the settings. An hour's build
records a digest of these beside its files (`exact_fingerprint`). If the digest is the same at the close, and the files
have the bytes that the build wrote, the day reads them instead of the raw files. In all other cases it parses.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pismo_lake import storage
from pismo_lake.build.fingerprint import exact_fingerprint
from pismo_lake.errors import LakeError
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.paths import VALUE_ROOTS, items_folder, type_folder
from pismo_lake.rows.schema import child_schemas, event_schema

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.index.dedupe import Verdict
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.ledger.builds import PartRecord
    from pismo_lake.settings.lake import LakeSettings

    Part = tuple[str, int]
    Spans = dict[str, tuple[int, int]]

_LOG = logging.getLogger(__name__)
_SOURCE = "_source_file"
# parts are read whole, but if files came in a random order, a chunk needs a few files of each part
_MOST_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class _Partition:
    """One Parquet file of an hour: its rows, and the first row and the end of each raw file's rows."""

    table: pa.Table
    spans: Spans


def find_same(
    settings: LakeSettings, ledger: Ledger, contracts: ContractStore, files: Sequence[FileRecord],
    verdicts: dict[str, Verdict],
) -> dict[Part, PartRecord]:  # fmt: skip
    """Return the parts of hours whose rows, and counts, are the ones that a parse would give."""
    found = {}
    of_parts = _by_part(files)
    for hour in dict.fromkeys(hour for hour, _ in of_parts):
        for record in BuildLedger(ledger, settings.lake, settings.delivery, hour).parts():
            mine, exact = of_parts.get((hour, record.part)), record.counts.get("exact")
            if mine and exact is not None and record.claim is None:
                now = exact_fingerprint(settings, contracts, mine, verdicts, record.counts)
                folders = _schemas(contracts, record.counts["by_type"])
                if exact == now and all(_type_of(path) in folders for path in record.outputs if _has_values(path)):
                    found[hour, record.part] = record
    return found


def _by_part(files: Sequence[FileRecord]) -> dict[Part, list[FileRecord]]:
    found: dict[Part, list[FileRecord]] = defaultdict(list)
    for record in files:
        # the files of an earlier close are in no hour any more
        if record.built and not record.closed:
            found[record.publish_hour, record.part].append(record)
    return found


class HourRows:
    """The rows of some event types that the builds of the day's hours have written already.

    `same` are the digests of the parts that `find_same` has found, `types` names like those of counts. A part that was
    built anew since is not taken.

    Attributes:
        files: how many raw files were not parsed, because their rows were taken.
    """

    def __init__(
        self, settings: LakeSettings, ledger: Ledger, contracts: ContractStore, files: Sequence[FileRecord],
        same: Mapping[Part, str], types: Collection[str],
    ) -> None:  # fmt: skip
        self._settings = settings
        self._folders = _schemas(contracts, types)
        self._parts = _by_part(files)
        self._records: dict[Part, PartRecord] = {}
        for hour in dict.fromkeys(hour for hour, _ in same):
            for record in BuildLedger(ledger, settings.lake, settings.delivery, hour).parts():
                if record.counts.get("exact", "") == same.get((hour, record.part)) and record.claim is None:
                    self._records[hour, record.part] = record
        self._part_of = {file.name: part for part in self._records for file in self._parts[part]}
        self._read: dict[Part, dict[str, _Partition]] = {}
        self.files = 0

    def of(self, files: Sequence[FileRecord]) -> dict[str, pa.Table] | None:
        """Return the rows of files in their order, by folder; None if the files must be parsed."""
        if not all(file.name in self._part_of for file in files):
            return None
        needed = dict.fromkeys(self._part_of[file.name] for file in files)
        most = max(self._settings.part_bytes, _size(files)) * _MOST_AT_ONCE
        if sum(_size(self._parts[part]) for part in needed) > most:
            return None
        self._read = {part: partitions for part, partitions in self._read.items() if part in needed}
        try:
            for part in needed:
                if part not in self._read:
                    self._read[part] = dict(self._read_part(self._records[part]))
        except (FileNotFoundError, LakeError, pa.ArrowException) as error:
            _LOG.info("rows of %s are parsed again: %s", part[0], error)
            return None
        self.files += len(files)
        return self._join(files)

    def _read_part(self, record: PartRecord) -> Iterator[tuple[str, _Partition]]:
        """Read the Parquet files of a part, and yield them by folder.

        Raises:
            LakeError: the bytes of a file, or its columns, are others than those of the build.
        """
        for path in record.outputs:
            schema = self._folders.get(_type_of(path))
            if schema is None:
                continue
            data = storage.read_bytes(storage.join(self._settings.lake, path))
            if hashlib.sha256(data).hexdigest() != record.counts["digests"].get(path):
                msg = f"{path} is not as it was written"
                raise LakeError(msg)
            with storage.open_parquet(pa.BufferReader(data), self._settings.key) as file:
                table = file.read(use_threads=False)
            folder = path.rpartition("/")[0]
            if not table.schema.equals(schema):
                msg = f"{path} has other columns than the contract"
                raise LakeError(msg)
            # equal types may differ in the name of a list's items, which a file keeps
            table = pa.Table.from_arrays(table.columns, schema=schema)
            yield folder, _Partition(table, _spans(table))

    def _join(self, files: Sequence[FileRecord]) -> dict[str, pa.Table]:
        pieces: dict[str, list[tuple[pa.Table, int, int]]] = defaultdict(list)
        for file in files:
            for folder, partition in self._read[self._part_of[file.name]].items():
                if file.name not in partition.spans:
                    continue
                start, end = partition.spans[file.name]
                mine = pieces[folder]
                if mine and mine[-1][0] is partition.table and mine[-1][2] == start:
                    start = mine.pop()[1]
                mine.append((partition.table, start, end))
        # in one piece, as a parse gives them: a writer cuts pages by the pieces
        return {
            folder: pa.concat_tables([table.slice(start, end - start) for table, start, end in some]).combine_chunks()
            for folder, some in pieces.items()
        }


def _has_values(path: str) -> bool:
    return path.startswith(VALUE_ROOTS)


def _type_of(path: str) -> str:
    """Return the folder of an event type, or of a child table, from the path of an output."""
    return path.rsplit("/", 2)[0]


def _schemas(contracts: ContractStore, names: Iterable[str]) -> dict[str, pa.Schema]:
    """Return the columns by folder of an event type, or of a child table; names are as in counts."""
    found = {}
    for domain, event in (name.split("/", 1) for name in names):
        found[type_folder(domain, event)] = event_schema(contracts, domain, event)
        for name, schema in child_schemas(contracts, domain, event):
            found[items_folder(domain, event, name)] = schema
    return found


def _size(files: Sequence[FileRecord]) -> int:
    return sum(file.plain_size for file in files)


def _spans(table: pa.Table) -> Spans:
    """Return the rows of each raw file; an hour has them file by file."""
    coded = table.column(_SOURCE).combine_chunks().dictionary_encode()
    codes = coded.indices.to_numpy()
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    names = coded.dictionary.take(coded.indices.take(pa.array(starts))).to_pylist()
    return dict(zip(names, zip(starts.tolist(), [*starts[1:].tolist(), len(codes)], strict=True), strict=True))
