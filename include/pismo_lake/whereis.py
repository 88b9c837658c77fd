"""Where is an event: its source objects and byte ranges, which copy stands, and the Parquet file that holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pismo_lake import storage
from pismo_lake.build_ledger import BuildLedger
from pismo_lake.dedupe import read_index

if TYPE_CHECKING:
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.settings import LakeSettings


@dataclass(frozen=True, slots=True)
class Place:
    """One copy of an event; offset and length in bytes of the uncompressed file; `parquet` where this copy stands."""

    source: str
    raw_uri: str
    offset: int
    length: int
    publish_hour: str
    parquet: str | None

    def __str__(self) -> str:
        """A line for people."""
        state = f"stands in {self.parquet}" if self.parquet else "duplicate, rejected or not built"
        return f"{self.source} offset {self.offset} length {self.length} (raw: {self.raw_uri}): {state}"


def find_event(settings: LakeSettings, ledger: Ledger, event_id: str) -> list[Place]:
    """Every copy of an event id in the landed files of a lake, in the order that decides which one stands."""
    places: list[Place] = []
    for record in ledger.all_files(settings.lake):
        index = read_index(record, ["event_id", "offset", "length"])
        for row in index.filter(pc.equal(index.column("event_id"), event_id)).to_pylist():
            parquet = _standing(settings, ledger, record, event_id, row["offset"])
            source = f"{record.delivery}:{record.name}"
            places.append(Place(source, record.raw_uri, row["offset"], row["length"], record.publish_hour, parquet))
    return places


def _standing(settings: LakeSettings, ledger: Ledger, record: FileRecord, event_id: str, offset: int) -> str | None:
    builds = BuildLedger(ledger, settings.lake, record.delivery, record.publish_hour)
    outputs = [path for part in builds.parts() if part.part == record.part for path in part.outputs]
    for path in outputs:
        if not path.startswith("events/"):
            continue
        uri = storage.join(settings.lake, path)
        with storage.open_for_reading(uri) as file:
            # not the dataset reader: its read-ahead threads outlive a Python file object at exit
            table = pq.ParquetFile(file).read(["event_id", "_source_file", "_source_offset"], use_threads=False)
        wanted = (
            (pc.field("event_id") == event_id)
            & (pc.field("_source_file") == record.name)
            & (pc.field("_source_offset") == offset)
        )
        if table.filter(wanted).num_rows:
            return uri
    return None
