"""Choose the events of a selection: each event once, by the copy that counts, and never an erased one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake.decode.container import uncompress
from pismo_lake.index.dedupe import judge_all
from pismo_lake.index.files import read_index
from pismo_lake.index.groups import number_groups
from pismo_lake.index.keys import organisation_key
from pismo_lake.index.landed import landed_bytes
from pismo_lake.paths import event_name, event_path
from pismo_lake.replay.candidates import candidate_files
from pismo_lake.replay.ids import IdSet
from pismo_lake.replay.selection import Clock
from pismo_lake.replay.values import ValueFilter
from pismo_lake.settings.patterns import covers_event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pismo_lake.index.dedupe import Verdict
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.replay.selection import Selection
    from pismo_lake.settings.lake import LakeSettings

_COLUMNS = [
    "offset", "length", "reason", "event_id", "org_id", "domain", "event_type", "schema_version", "event_timestamp",
    "dedupe_key",
]  # fmt: skip
_TYPE = ["domain", "event_type", "schema_version"]
UNTIMED = np.iinfo(np.int64).min
"""The time of an event without a usable timestamp: it comes first."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The events of a file that are in a selection, in byte order.

    `table` has the columns of the index, `types` the names of event types, and `type_of` their number for each event.
    `wanted` is false for an event that the consumer has seen.
    """

    record: FileRecord
    table: pa.Table
    types: list[str]
    type_of: NDArray[np.int64]
    wanted: NDArray[np.bool_]

    @property
    def times(self) -> NDArray[np.int64]:
        """Return the time of each event in microseconds since 1970 UTC, or `UNTIMED`."""
        micros = self.table.column("event_timestamp").cast(pa.int64()).fill_null(UNTIMED)
        return np.asarray(micros.combine_chunks().to_numpy(zero_copy_only=False))


def choose(settings: LakeSettings, ledger: Ledger, selection: Selection) -> Iterator[Chosen]:
    """Yield the events of a selection by file, in rank order; memory holds the verdicts of one publish day.

    An event is chosen by its copy that counts. So its publish hour is that of the first copy.
    """
    chooser = _Chooser(settings, selection)
    files = candidate_files(settings, ledger, selection)
    for _, of_day in groupby(files, key=lambda record: record.publish_hour[:10]):
        own = list(of_day)
        verdicts = judge_all(settings, ledger, own)
        for record in own:
            chosen = chooser.choose(record, verdicts[record.name])
            if len(chosen.table):
                yield chosen


class _Chooser:
    """The filters of a selection, made once for all files."""

    def __init__(self, settings: LakeSettings, selection: Selection) -> None:
        self._settings, self._selection = settings, selection
        self._organisations = {organisation_key(org_id) for org_id in selection.organisations}
        self._ids = IdSet(selection.event_ids) if selection.event_ids else None
        self._values = ValueFilter.of(selection)

    def choose(self, record: FileRecord, verdict: Verdict) -> Chosen:
        index = read_index(record, _COLUMNS)
        table = index.filter(pc.is_null(index.column("reason"))).filter(pa.array(verdict.rows))
        table = table.filter(pa.array(self._in_range(table) & self._of_organisations(table)))
        names, numbers = number_groups(table, _TYPE, _name_type)
        of_type = np.array([self._is_asked_for(name) for name in names], dtype=bool)[numbers]
        mask = of_type & (np.ones(len(table), dtype=bool) if self._ids is None else self._ids.contains(_ids(table)))
        table, numbers = table.filter(pa.array(mask)), numbers[mask]
        if self._values is not None and len(table):
            mask = self._have_values(record, table)
            table, numbers = table.filter(pa.array(mask)), numbers[mask]
        seen = self._selection.seen
        wanted = np.ones(len(table), dtype=bool) if seen is None else ~seen.contains(_ids(table))
        return Chosen(record, table, names, numbers, wanted)

    def _in_range(self, table: pa.Table) -> NDArray[np.bool_]:
        times = self._selection.times
        if times is None or times.clock is Clock.PUBLISH:
            # the files are those of the publish hours
            return np.ones(len(table), dtype=bool)
        first, last = times.micros
        micros = table.column("event_timestamp").cast(pa.int64())
        inside = pc.and_(pc.greater_equal(micros, first), pc.less_equal(micros, last)).fill_null(fill_value=False)
        return np.asarray(inside.combine_chunks().to_numpy(zero_copy_only=False))

    def _of_organisations(self, table: pa.Table) -> NDArray[np.bool_]:
        if not self._organisations:
            return np.ones(len(table), dtype=bool)
        coded = table.column("org_id").combine_chunks().dictionary_encode(null_encoding="encode")
        asked = [organisation_key(org_id) in self._organisations for org_id in coded.dictionary.to_pylist()]
        found: NDArray[np.bool_] = np.array(asked, dtype=bool)[coded.indices.to_numpy()]
        return found

    def _is_asked_for(self, name: str) -> bool:
        return not self._selection.types or any(covers_event(pattern, name) for pattern in self._selection.types)

    def _have_values(self, record: FileRecord, table: pa.Table) -> NDArray[np.bool_]:
        assert self._values is not None
        data = uncompress(landed_bytes(record), record.name, record.plain_size or self._settings.max_plain_bytes).data
        places = zip(table.column("offset").to_pylist(), table.column("length").to_pylist(), strict=True)
        return self._values.match(data, places)


def _ids(table: pa.Table) -> pa.ChunkedArray:
    return table.column("event_id")


def _name_type(domain: str, event_type: str, schema_version: str | None) -> str:
    return event_path(domain, event_name(event_type, schema_version))
