"""Keep the plan of a closing day, and the files of its groups, until the day is recorded.

The place is a folder of this machine, or a prefix in the object store of the lake. It is in `<lake>/_spool`, which
dataset readers ignore. Names carry the token of the claim, so a plan of an earlier claim is never taken for this one.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pismo_lake import storage
from pismo_lake.build.day_files import GroupFiles
from pismo_lake.build.day_plan import DayPlan
from pismo_lake.build.spool import spool_prefix, staging_path
from pismo_lake.errors import LakeError
from pismo_lake.index.dedupe import Verdict
from pismo_lake.ledger import FileRecord
from pismo_lake.storage.leftovers import hold_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pismo_lake.build.day_files import DayFile
    from pismo_lake.build.draft import Write
    from pismo_lake.settings.lake import LakeSettings

_PLAN = "plan.parquet"
_NOTE = b"pismo_lake.plan"
_MASKS = ("kept", "conflict", "erased")
_RECORD = tuple(item.name for item in fields(FileRecord))


class Staging:
    """The place of one plan; `root` is a path or a URI."""

    def __init__(self, settings: LakeSettings, root: str) -> None:
        self._settings, self.root = settings, root
        self._is_local = storage.is_local(root)

    @classmethod
    def of_claim(cls, settings: LakeSettings, day: str, token: str) -> Staging:
        """Return the place in the lake that tasks on several machines share."""
        return cls(settings, storage.join(settings.lake, staging_path(settings.delivery, day, token)))

    @property
    def plan_uri(self) -> str:
        """The place of the plan."""
        return storage.join(self.root, _PLAN)

    def save_plan(self, plan: DayPlan) -> None:
        """Write the plan, whole or not at all."""
        storage.write_atomic(self.plan_uri, _plan_bytes(plan))

    def load_plan(self) -> DayPlan:
        """Return the plan; FileNotFoundError if there is none."""
        return _read_plan(storage.read_bytes(self.plan_uri))

    @contextmanager
    def folder(self, group: int) -> Iterator[Path]:
        """Yield a new folder of this machine for the files of a group; it is removed if the block fails."""
        if not self._is_local:
            with hold_folder(Path(tempfile.mkdtemp(prefix=spool_prefix(self._settings)))) as folder:
                yield folder
            return
        folder = storage.local_path(self.root) / f"{group:04d}-{uuid.uuid4().hex[:8]}"
        # without its parents: a place that was removed must not come back
        folder.mkdir()
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def save_group(self, group: int, written: GroupFiles) -> None:
        """Bring the files of a group here, and write their list at the end."""
        if not self._is_local:
            written = replace(written, files=tuple(self._send(group, file) for file in written.files))
        storage.write_atomic(self._uri(f"{group:04d}.json"), orjson.dumps(written.to_json()))

    def _send(self, group: int, file: DayFile) -> DayFile:
        uri = self._uri(f"{group:04d}-{uuid.uuid4().hex[:8]}.parquet")
        storage.move_in(Path(file.place), uri)
        return replace(file, place=uri, mark=_mark(uri))

    def remove_group(self, group: int) -> None:
        """Remove the files of a group."""
        for uri in storage.list_every_file(self.root):
            if uri.removeprefix(f"{self.root}/").startswith(f"{group:04d}"):
                storage.remove(uri)

    def load_group(self, group: int) -> GroupFiles:
        """Return the files of a group, after each was compared with its list.

        A local file is read and hashed. Of an object, the size and the mark of its version are compared.

        Raises:
            LakeError: a file is missing, or is not as it was written.
        """
        try:
            written = GroupFiles.from_json(storage.read_json(self._uri(f"{group:04d}.json")))
            for file in written.files:
                same = storage.sha256(file.place) == file.sha256 if self._is_local else _mark(file.place) == file.mark
                if not same:
                    msg = f"{file.place} is not as it was written"
                    raise LakeError(msg)
        except FileNotFoundError as error:
            msg = f"{error.filename or self.root} is missing"
            raise LakeError(msg) from None
        return written

    def remove(self) -> None:
        """Remove the plan, and all files of its groups."""
        if self._is_local:
            shutil.rmtree(storage.local_path(self.root), ignore_errors=True)
            return
        for uri in storage.list_every_file(self.root):
            storage.remove(uri)

    def _uri(self, name: str) -> str:
        return storage.join(self.root, name)


def bring(place: str) -> Write:
    """Return the function that gives a finished file its place in the lake."""
    if storage.is_local(place):
        return partial(storage.move_in, Path(place))
    return partial(storage.copy, place)


def _mark(uri: str) -> str:
    size, mark = storage.version(uri)
    return f"{size} {mark}"


def _plan_bytes(plan: DayPlan) -> bytes:
    verdicts = [plan.verdicts[record.name] for record in plan.files]
    columns: dict[str, Any] = {name: [getattr(record, name) for record in plan.files] for name in _RECORD}
    columns["judged"] = [len(verdict.kept) for verdict in verdicts]
    for name in _MASKS:
        columns[name] = pa.array([np.packbits(getattr(verdict, name)).tobytes() for verdict in verdicts], pa.binary())
    note = {name: value for name, value in _shallow(plan).items() if name not in {"files", "verdicts", "same"}}
    note["same"] = [[*part, exact] for part, exact in plan.same.items()]
    table = pa.table(columns).replace_schema_metadata({_NOTE: orjson.dumps(note)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def _shallow(plan: DayPlan) -> dict[str, Any]:
    return {item.name: getattr(plan, item.name) for item in fields(plan)}


def _read_plan(data: bytes) -> DayPlan:
    table = pq.read_table(pa.BufferReader(data))
    note = orjson.loads(table.schema.metadata[_NOTE])
    files, verdicts = [], {}
    for row in table.to_pylist():
        kept, conflict, erased = (_mask(row[name], row["judged"]) for name in _MASKS)
        files.append(FileRecord(**{name: row[name] for name in _RECORD}))
        verdicts[row["name"]] = Verdict(kept, conflict, erased)
    note["same"] = {(hour, part): exact for hour, part, exact in note["same"]}
    note["groups"] = tuple(map(tuple, note["groups"]))
    for name in ("rules", "winners"):
        note[name] = tuple(note[name])
    return DayPlan(files=files, verdicts=verdicts, **note)


def _mask(packed: bytes, count: int) -> NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=count).astype(bool)
