"""Compare raw files and their indexes in landing with the ledger."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from pismo_lake import storage
from pismo_lake.check.model import Advice, Finding, Kind, Record, Reindex, Remove
from pismo_lake.errors import LandedFileError
from pismo_lake.index.files import read_index, read_note
from pismo_lake.index.landed import is_as_landed
from pismo_lake.ledger import LakeFiles
from pismo_lake.ledger.forget import is_recorded
from pismo_lake.paths import ERASURES, columns_path, index_path, landing_zone, name_in_landing, safe_segment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.ledger.raw_files import RawFile
    from pismo_lake.settings.lake import LakeSettings

_FETCH = "left: remove it from landing and ask for its object key again, with force"
_FETCH_MISSING = "left: ask for its object key again, with force"


def check_record(record: FileRecord) -> list[Finding]:
    """Return the findings on an indexed file: on its raw bytes, and on its index."""
    found = [] if record.index_uri is None else list(_check_index(record, record.index_uri))
    try:
        data = storage.read_bytes(record.raw_uri)
    except FileNotFoundError:
        return [*found, _missing_raw(record.raw_uri, record.sha256)]
    try:
        same = sha256(data).hexdigest() == record.sha256 or (
            record.index_uri is not None and is_as_landed(record, data)
        )
    except (LandedFileError, FileNotFoundError):
        # an erasure may have blanked it, and only its index could tell
        same = False
    if not same:
        found.append(_other_raw(record.raw_uri, record.sha256, sha256(data).hexdigest()))
    return found


def check_waiting(file: RawFile) -> list[Finding]:
    """Return the findings on a raw file that has no index yet."""
    try:
        data = storage.read_bytes(file.raw_uri)
    except FileNotFoundError:
        return [_missing_raw(file.raw_uri, file.sha256 or f"{file.size} bytes")]
    digest = sha256(data).hexdigest()
    if len(data) == file.size and digest == (file.sha256 or digest):
        return []
    return [_other_raw(file.raw_uri, file.sha256 or f"{file.size} bytes", f"{digest}, {len(data)} bytes")]


def raw_uri_of(index_uri: str) -> str:
    """Return the URI of the raw file beside whose folder an index is."""
    before, _, name = index_uri.rpartition("/_index/")
    return f"{before}/{name.removesuffix('.parquet')}"


def _missing_raw(uri: str, ledger: str) -> Finding:
    return Finding(Kind.MISSING_RAW, uri, f"landed as {ledger}", "it is not there", Advice(_FETCH_MISSING))


def _other_raw(uri: str, ledger: str, disk: str) -> Finding:
    return Finding(Kind.RAW, uri, f"landed as {ledger}", disk, Advice(_FETCH))


def _check_index(record: FileRecord, uri: str) -> Iterator[Finding]:
    repair, ledger = Reindex(record.delivery, record.name), f"{record.events} event(s), {record.rejects} reject(s)"
    try:
        usable = pc.is_null(read_index(record, ["reason"]).column("reason"))
        noted = read_note(uri)
    except FileNotFoundError:
        yield Finding(Kind.MISSING_INDEX, uri, f"the index of {record.name}", "it is not there", repair)
        return
    except LandedFileError:
        yield Finding(Kind.INDEX, uri, ledger, "its bytes are not those that were written", repair)
        return
    events = pc.sum(usable).as_py() or 0
    if (events, len(usable) - events) != (record.events, record.rejects):
        yield Finding(Kind.INDEX, uri, ledger, f"{events} event(s), {len(usable) - events} reject(s)", repair)
    elif noted.get("sha256", record.sha256) != record.sha256:
        yield Finding(Kind.INDEX, uri, f"of {record.name}", f"the index of another file, {noted.get('name')}", repair)


class LandingFolder:
    """The folder of a delivery in a landing zone."""

    def __init__(self, landing: str, delivery: str) -> None:
        self._landing, self._delivery = landing, delivery
        self._root = storage.join(landing, safe_segment(delivery))

    def strays(self, settings: LakeSettings, ledger: Ledger) -> list[Finding]:
        """Return the findings on files that the ledger does not know, and on temporary files."""
        listed = storage.list_every_file(self._root)
        present = set(listed)
        known = self._list_known(LakeFiles(ledger, settings.lake))
        found = []
        for uri in listed:
            in_index = uri.startswith(f"{self._root}/_index/")
            if uri.startswith(f"{self._root}/{ERASURES}/") and not storage.is_temporary(uri):
                # a record that the ledger lacks is read before the next file is indexed
                continue
            if storage.is_temporary(uri):
                if not storage.is_in_use(uri):
                    found.append(_temporary(uri, "a writer has not finished it"))
            elif uri in known or uri.rsplit("/", 1)[-1].startswith("."):
                continue
            elif in_index and uri.endswith(".columns"):
                found.append(_temporary(uri, "no file that waits for its build has it"))
            elif in_index and (raw_uri_of(uri) in present or is_recorded(ledger, raw_uri_of(uri))):
                # it is that of a raw file which waits to be recorded, or which another lake has
                continue
            elif in_index:
                found.append(Finding(Kind.UNKNOWN_INDEX, uri, "no landed file has it", "it is there", Remove(uri)))
            elif not is_recorded(ledger, uri):
                repair = Record(self._delivery, uri)
                found.append(Finding(Kind.UNKNOWN_RAW, uri, "it is not recorded", "it is there", repair))
        return found

    def _list_known(self, files: LakeFiles) -> set[str]:
        """Return the files of the folder that the ledger knows."""
        records = [record for record in files.every() if record.delivery == self._delivery]
        waiting = [file for delivery, file in files.list_waiting() if delivery == self._delivery]
        unbuilt = [record.name for record in records if not record.built] + [file.name for file in waiting]
        named = [name_in_landing(file.raw_uri, self._delivery, file.name) for file in waiting]
        indexed = {self._uri(index_path(self._delivery, name)) for name in named}
        raws = {record.raw_uri for record in records} | {file.raw_uri for file in waiting}
        indexes = {record.index_uri for record in records if record.index_uri is not None}
        return raws | indexed | indexes | {self._uri(columns_path(self._delivery, name)) for name in unbuilt}

    def _uri(self, path: str) -> str:
        return storage.join(self._landing, path)


def landing_folders(settings: LakeSettings, ledger: Ledger) -> list[LandingFolder]:
    """Return the folders with raw files of the lake's deliveries, and the settings' own folder."""
    files = LakeFiles(ledger, settings.lake)
    found = {(settings.landing, settings.delivery)}
    landed: list[tuple[str, RawFile | FileRecord]] = [(record.delivery, record) for record in files.every()]
    for delivery, file in (*landed, *files.list_waiting()):
        zone = landing_zone(file.raw_uri, delivery, file.name)
        if zone is not None:
            found.add((zone, delivery))
    return [LandingFolder(landing, delivery) for landing, delivery in sorted(found)]


def _temporary(uri: str, why: str) -> Finding:
    return Finding(Kind.TEMPORARY, uri, why, "it is there", Remove(uri))
