"""Plan a replay: the places of its events in the order in which they are sent.

A plan holds about 40 bytes for each event; to make it needs about 300 bytes for each, for a while. It is a file of the
lake until the replay is done. So a killed replay continues with the same events in the same order, whatever has landed
meanwhile. It holds hashes and places, and neither ids nor values.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pismo_lake import storage
from pismo_lake.errors import ReplayError
from pismo_lake.hours import NO_HOUR, PublishHour
from pismo_lake.ledger import LakeFiles
from pismo_lake.paths import replay_path
from pismo_lake.replay.scan import UNTIMED, choose
from pismo_lake.replay.selection import Clock
from pismo_lake.storage.errors import sound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pismo_lake.ledger import Ledger
    from pismo_lake.replay.scan import Chosen
    from pismo_lake.replay.selection import Selection
    from pismo_lake.settings.lake import LakeSettings

_NOTE = b"pismo_lake"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_MICROS = 3_600_000_000
NO_TIME = "no time"
"""The hour of events without a usable timestamp."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The events of a replay in order: `files` are names of landed files, the arrays have a place for each event."""

    files: list[str]
    file: NDArray[np.int32]
    offset: NDArray[np.int64]
    length: NDArray[np.int64]
    key: NDArray[np.bytes_]

    def __len__(self) -> int:
        return len(self.file)


@dataclass(slots=True)
class Overview:
    """The events that a replay would send: their number and bytes, by hour and type."""

    events: int = 0
    bytes: int = 0
    seen: int = 0
    """Events of the selection that the consumer has."""
    waiting: int = 0
    """Landed files of the range that have no index yet, so that their events are left out."""
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)


def make_plan(settings: LakeSettings, ledger: Ledger, selection: Selection) -> tuple[Plan, Overview]:
    """Return the plan of a selection, and its overview.

    Events are in the order of their times, and so are those of each account. Events of one time are in the order of
    publish hour, file and place in it.
    """
    overview = Overview(waiting=count_waiting(settings, ledger, selection))
    files: list[str] = []
    pieces: list[tuple[NDArray[np.int64], NDArray[np.int32], pa.Table]] = []
    for chosen in choose(settings, ledger, selection):
        _count(overview, chosen, selection)
        table = chosen.table.select(["offset", "length", "dedupe_key"]).filter(pa.array(chosen.wanted))
        if len(table):
            place = np.full(len(table), len(files), dtype=np.int32)
            pieces.append((chosen.times[chosen.wanted], place, table))
            files.append(chosen.record.name)
    if not pieces:
        nothing = np.zeros(0, dtype=np.int64)
        return Plan([], nothing.astype(np.int32), nothing, nothing, np.zeros(0, dtype="S16")), overview
    time = np.concatenate([times for times, _, _ in pieces])
    file = np.concatenate([place for _, place, _ in pieces])
    table = pa.concat_tables([table for _, _, table in pieces]).combine_chunks()
    offset, length = (table.column(name).to_numpy() for name in ("offset", "length"))
    order = np.lexsort((offset, file, time))
    key = _keys(table.column("dedupe_key"))
    return Plan(files, file[order], offset[order], length[order], key[order]), overview


def count_waiting(settings: LakeSettings, ledger: Ledger, selection: Selection) -> int:
    """Return how many landed files may hold events of a selection and have no index yet."""
    waiting = [
        file for delivery, file in LakeFiles(ledger, settings.lake).list_waiting() if delivery == settings.delivery
    ]
    if selection.times is None or selection.times.clock is Clock.EVENT:
        return len(waiting)
    first, last = selection.times.hours
    return sum(file.publish_hour == NO_HOUR or first <= file.publish_hour <= last for file in waiting)


def hours_of(chosen: Chosen, selection: Selection) -> list[str]:
    """Return the hour of each event by the clock of the selection: YYYY-MM-DDTHH."""
    if selection.times is None or selection.times.clock is Clock.PUBLISH:
        return [chosen.record.publish_hour] * len(chosen.table)
    starts, places = np.unique(chosen.times // _HOUR_MICROS, return_inverse=True)
    names = [_name_hour(int(start)) for start in starts]
    return [names[place] for place in places]


def _name_hour(number: int) -> str:
    if number == UNTIMED // _HOUR_MICROS:
        return NO_TIME
    return str(PublishHour.of_moment(_EPOCH + timedelta(hours=number)))


def _count(overview: Overview, chosen: Chosen, selection: Selection) -> None:
    wanted = chosen.wanted
    overview.seen += int((~wanted).sum())
    overview.events += int(wanted.sum())
    overview.bytes += int(chosen.table.column("length").to_numpy()[wanted].sum())
    hours = hours_of(chosen, selection)
    overview.counts.update(
        (hour, chosen.types[kind]) for hour, kind, asked in zip(hours, chosen.type_of, wanted, strict=True) if asked
    )


def write_plan(settings: LakeSettings, replay_id: str, plan: Plan) -> None:
    """Write the plan of a replay into the lake."""
    columns = {
        "file": pa.array(plan.file), "offset": pa.array(plan.offset), "length": pa.array(plan.length),
        "key": pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(16), len(plan), [None, pa.py_buffer(np.ascontiguousarray(plan.key).tobytes())]
        ),
    }  # fmt: skip
    sink = io.BytesIO()
    table = pa.table(columns).replace_schema_metadata({_NOTE: json.dumps({"files": plan.files})})
    pq.write_table(table, sink, compression="zstd")
    storage.write_atomic(_plan_uri(settings, replay_id), sink.getbuffer())


def read_plan(settings: LakeSettings, replay_id: str) -> Plan:
    """Read the plan of a replay.

    Raises:
        ReplayError: it is gone; `LakeError` if it is damaged.
    """
    uri = _plan_uri(settings, replay_id)
    try:
        data = storage.read_bytes(uri)
    except FileNotFoundError:
        msg = f"replay {replay_id}: its plan {uri} is gone, so begin another replay"
        raise ReplayError(msg) from None
    with sound(uri):
        table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False).combine_chunks()
        files = json.loads(table.schema.metadata[_NOTE])["files"]
        keys = _keys(table.column("key"))
        file, offset, length = (table.column(name).to_numpy() for name in ("file", "offset", "length"))
        return Plan(files, file, offset, length, keys)


def remove_plan(settings: LakeSettings, replay_id: str) -> None:
    """Delete the plan of a replay that is done."""
    storage.remove(_plan_uri(settings, replay_id))


def _keys(column: pa.ChunkedArray) -> NDArray[np.bytes_]:
    """Return a column of 16 bytes as an array of numpy's, without an object for each value."""
    if not len(column):
        return np.zeros(0, dtype="S16")
    chunk = pa.concat_arrays(column.chunks)
    return np.frombuffer(chunk.buffers()[1], dtype="S16")[chunk.offset : chunk.offset + len(chunk)]


def _plan_uri(settings: LakeSettings, replay_id: str) -> str:
    return storage.join(settings.lake, replay_path(settings.delivery, replay_id))
