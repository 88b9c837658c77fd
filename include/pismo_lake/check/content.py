"""Compare the rows in the outputs of builds with the counts that the ledger has of them.

The ledger counts by part and event type. So a difference is that of a file if a part has one file of the event type,
and else that of their folder.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pismo_lake import storage
from pismo_lake.check.model import Finding, Kind, Rebuild
from pismo_lake.errors import LakeError
from pismo_lake.index.ids import write_ids
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.lake_builds import LakeBuilds
from pismo_lake.paths import IDS, items_folder
from pismo_lake.rows.schema import COUNT
from pismo_lake.storage.encryption import open_parquet
from pismo_lake.storage.errors import sound

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.ledger.lake_builds import LakePart
    from pismo_lake.settings.lake import LakeSettings

_ROWS_AT_ONCE = 65_536
_TRIES = 3


def check_part(settings: LakeSettings, ledger: Ledger, part: LakePart, damaged: Collection[str] = ()) -> list[Finding]:
    """Return the findings on the content of a part's outputs; missing files are found elsewhere.

    A part that is built again meanwhile is looked at once more. Ids are not compared with `damaged` indexes, which are
    given by the names of their files.
    """
    builds = LakeBuilds(ledger, settings.lake)
    for _ in range(_TRIES):
        content = _Content(settings, ledger, part, damaged)
        # a unit that is built again writes all its files, so their bytes need no look then
        found = list(content.findings()) or list(content.find_differing_bytes())
        now = {other.place: other for other in builds.of_units([part.unit])}.get(part.place)
        if not found or now == part:
            return found
        if now is None:
            break
        part = now
    return []


class _Content:
    """The outputs of one part as their footers and some columns tell."""

    def __init__(self, settings: LakeSettings, ledger: Ledger, part: LakePart, damaged: Collection[str]) -> None:
        self._settings, self._ledger, self._part, self._damaged = settings, ledger, part, damaged
        self._rows: dict[str, int] = {}
        self._items: Counter[str] = Counter()
        """Rows that each child table must have, by its folder: the sums of the counts in the rows of events."""

    def findings(self) -> Iterator[Finding]:
        """Yield the differences.

        If a part has no count, a rebuilt ledger has adopted it, and it is built next.
        """
        record = self._part.record
        if not record.counts or record.claim is not None:
            return
        for path in record.outputs:
            try:
                self._read(path)
            except FileNotFoundError:
                continue
            except LakeError as error:
                yield self._report(Kind.DAMAGED, path, "an output", str(error))
        if set(record.outputs) == self._rows.keys():
            yield from self._differing_rows()
            yield from self._differing_items()
        yield from self._differing_ids()

    def find_differing_bytes(self) -> Iterator[Finding]:
        """Compare the bytes of outputs with the digests that the build recorded; earlier versions recorded none."""
        if self._part.record.claim is not None:
            return
        for path, digest in self._part.record.counts.get("digests", {}).items():
            try:
                if storage.sha256(storage.join(self._settings.lake, path)) == digest:
                    continue
            except FileNotFoundError:
                continue
            yield self._report(Kind.DAMAGED, path, "an output", "other bytes than its build wrote")

    def _read(self, path: str) -> None:
        """Read the number of rows, and the lengths of lists that have a child table."""
        uri, is_ids = storage.join(self._settings.lake, path), path.startswith(f"{IDS}/")
        with storage.open_for_reading(uri) as source, sound(uri):
            file = pq.ParquetFile(source) if is_ids else open_parquet(source, self._settings.key)
            rows = file.metadata.num_rows
            if path.startswith("events/"):
                _, domain, event, *_ = path.split("/")
                named = (domain.removeprefix("domain="), event.removeprefix("event_type="))
                for column in (name for name in file.schema_arrow.names if name.startswith(COUNT)):
                    counts = file.read([column], use_threads=False).column(0)
                    self._items[items_folder(*named, column.removeprefix(COUNT))] += pc.sum(counts).as_py() or 0
        self._rows[path] = rows

    def _differing_rows(self) -> Iterator[Finding]:
        """Compare the rows of events, rejects and ids with the counts of the build."""
        counts, expected = self._part.record.counts, Counter[str]()
        for name, of_type in counts.get("by_type", {}).items():
            domain, event = name.split("/", 1)
            expected[f"events/domain={domain}/event_type={event}"] = of_type["rows"]
        expected["rejects"] = counts.get("rejects", 0)
        if "ids" in counts:
            expected[IDS] = counts["ids"]
        groups: dict[str, dict[str, int]] = defaultdict(dict)
        for path, rows in self._rows.items():
            root = path.split("/", 1)[0]
            if root != "items":
                groups["/".join(path.split("/")[:3]) if root == "events" else root][path] = rows
        for folder in sorted(expected.keys() | groups.keys()):
            here = groups.get(folder, {})
            if sum(here.values()) != expected[folder]:
                kind = Kind.IDS if folder == IDS else Kind.ROWS
                yield self._report(kind, _place(folder, here), f"{expected[folder]} row(s)", _describe(here))

    def _differing_items(self) -> Iterator[Finding]:
        """Compare the rows of child tables with the lengths of the lists in the rows of events."""
        groups: dict[str, dict[str, int]] = defaultdict(dict)
        for path, rows in self._rows.items():
            if path.startswith("items/"):
                groups["/".join(path.split("/")[:3])][path] = rows
        for folder in sorted(self._items.keys() | groups.keys()):
            here = groups.get(folder, {})
            if sum(here.values()) != self._items[folder]:
                by_rows = f"{self._items[folder]} item(s) by the rows of the events"
                yield self._report(Kind.CHILD_TABLE, _place(folder, here), by_rows, _describe(here))

    def _differing_ids(self) -> Iterator[Finding]:
        """Compare the ids of a closed day with the indexes of its files."""
        paths = [path for path in self._rows if path.startswith(f"{IDS}/")]
        delivery, unit = self._part.delivery, self._part.unit
        files = [file for file in FileLedger(self._ledger, self._settings.lake, delivery).of_day(unit) if file.closed]
        if len(files) != self._part.record.counts["files"] or not all(file.built for file in files):
            return
        if any(file.name in self._damaged for file in files):
            return
        for path in paths:
            uri = storage.join(self._settings.lake, path)
            try:
                same = _same_ids(uri, files)
            except FileNotFoundError:
                continue
            except LakeError as error:
                if uri in str(error):
                    yield self._report(Kind.IDS, path, "the ids in the indexes", str(error))
                # an index that is damaged is a finding of its own
                continue
            if not same and self._rows[path] == self._part.record.counts["ids"]:
                yield self._report(Kind.IDS, path, "the ids in the indexes of its files", "other ids, names or offsets")

    def _report(self, kind: Kind, path: str, ledger: str, disk: str) -> Finding:
        repair = Rebuild(self._part.delivery, self._part.unit)
        return Finding(kind, storage.join(self._settings.lake, path), f"{ledger} of {self._part}", disk, repair)


def _place(folder: str, files: dict[str, int]) -> str:
    return next(iter(files)) if len(files) == 1 else folder


def _describe(files: dict[str, int]) -> str:
    each = ", ".join(f"{path.rsplit('/', 2)[-2]} {rows}" for path, rows in sorted(files.items()))
    return f"{sum(files.values())} row(s)" + (f" ({each})" if len(files) > 1 else "")


def _same_ids(uri: str, files: Sequence[FileRecord]) -> bool:
    """Write the ids of files once more, to a temporary file, and compare the two row by row."""
    with tempfile.TemporaryDirectory(prefix="pismo-check-") as folder:
        expected = Path(folder) / "ids.parquet"
        write_ids(files, expected)
        with storage.open_for_reading(uri) as source, sound(uri):
            here, there = pq.ParquetFile(source), pq.ParquetFile(expected)
            if here.schema_arrow != there.schema_arrow or here.metadata.num_rows != there.metadata.num_rows:
                return False
            return all(mine.equals(other) for mine, other in zip(_slices(here), _slices(there), strict=True))


def _slices(file: pq.ParquetFile) -> Iterator[pa.Table]:
    """Yield the rows of a file in tables of one size, whatever its row groups are."""
    rest = file.schema_arrow.empty_table()
    for batch in file.iter_batches(_ROWS_AT_ONCE, use_threads=False):
        rest = pa.concat_tables([rest, pa.Table.from_batches([batch])])
        while rest.num_rows >= _ROWS_AT_ONCE:
            yield rest.slice(0, _ROWS_AT_ONCE)
            rest = rest.slice(_ROWS_AT_ONCE)
    yield rest
