"""Make the ledger anew from the landing zone and the lake: losing it loses nothing."""

from __future__ import annotations

import io
import json
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from pismo_lake import storage
from pismo_lake.contracts.store import ContractStore
from pismo_lake.errors import LandedFileError
from pismo_lake.hours import PublishHour
from pismo_lake.index.files import NOTE, Raw, index_uri_of, read_index_at, read_raw
from pismo_lake.index.ids import ROOT
from pismo_lake.index.landed import only_blanked
from pismo_lake.index.run import Indexer
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.ledger.days import PART, DayLedger
from pismo_lake.ledger.erasures import restore_erasures
from pismo_lake.ledger.raw_files import RawFile, RawLedger
from pismo_lake.paths import output_pattern, safe_segment

if TYPE_CHECKING:
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings

_VERSION = re.compile(r"~[0-9a-f]{12}$")


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came back; `units` are to be built (unchanged content gives the same outputs).

    `orphans` are raw files without a publish hour: landing failed on them, and they stay as they are. `failures` are
    (file name, problem) of raw files that are not the ones that were landed.
    """

    files: int
    contracts: int
    units: tuple[str, ...]
    orphans: tuple[str, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()


def rebuild_ledger(settings: LakeSettings, ledger: Ledger) -> Rebuilt:
    """Record every raw file of the delivery in rank order, and adopt the outputs that the lake holds already."""
    contracts = ContractStore(ledger, settings).restore()
    restore_erasures(ledger, settings.lake)
    root = storage.join(settings.landing, safe_segment(settings.delivery))
    raws = [uri for uri in storage.list_files(root) if not uri[len(root) :].lstrip("/").startswith("_index/")]
    found = [(_note(settings, uri, root), uri) for uri in raws]
    hours = {note["key"]: PublishHour.parse(note["publish_hour"]) for note, _ in found if "publish_hour" in note}
    indexer = Indexer(settings, ledger, lambda file, _: hours[file.key])
    landed = FileLedger(ledger, settings.lake, settings.delivery)
    known = landed.names()
    count, orphans = 0, []
    for note, uri in sorted(found, key=lambda item: (str(hours.get(item[0]["key"], "")), item[0]["name"])):
        if note["name"] in known:
            continue
        if note["key"] not in hours:
            orphans.append(uri)
            continue
        etag, published = note.get("etag") or None, note.get("published_at")
        file = RawFile(note["name"], note["key"], storage.size(uri), etag, note.get("sha256"), uri, published)
        try:
            indexer.index(file, _read(settings, file))
        except LandedFileError as error:
            RawLedger(ledger, settings.lake, settings.delivery).note([file])
            problem = indexer.failed(file, error)
            RawLedger(ledger, settings.lake, settings.delivery).failed(file.name, problem)
            continue
        count += 1
    _adopt_outputs(settings, ledger)
    unbuilt = tuple(landed.unbuilt_units())
    return Rebuilt(count, contracts, unbuilt, tuple(orphans), tuple(indexer.failures))


def _read(settings: LakeSettings, file: RawFile) -> Raw:
    """Read a raw file; if its index has another digest of it, an erasure must be the only reason."""
    try:
        return read_raw(file)
    except LandedFileError:
        again = read_raw(replace(file, sha256=None))
        if not only_blanked(again.data, file.name, read_index_at(index_uri_of(settings, file))):
            raise
        return again


def _note(settings: LakeSettings, uri: str, root: str) -> dict[str, str]:
    """What the raw file's index says of it; without an index, what its path says."""
    path = uri[len(root) :].strip("/")
    index = storage.join(settings.landing, safe_segment(settings.delivery), "_index", f"{path}.parquet")
    try:
        metadata = pq.read_schema(io.BytesIO(storage.read_bytes(index))).metadata or {}
        return dict(json.loads(metadata[NOTE]))
    except (FileNotFoundError, KeyError, pa.ArrowInvalid):
        name = "/".join(unquote(segment) for segment in path.split("/"))
        return {"name": name, "key": _VERSION.sub("", name)} | _hour_of(name)


def _hour_of(name: str) -> dict[str, str]:
    hour = PublishHour.of_key(name)
    return {"publish_hour": str(hour)} if hour else {}


def _adopt_outputs(settings: LakeSettings, ledger: Ledger) -> None:
    """Outputs without a record would never be replaced: give each unit the files that carry its name.

    A day with such files was closed: it takes its files again, so that its hours do not stand beside it.
    """
    pattern = output_pattern(settings.delivery)
    found: dict[tuple[str, int], list[str]] = defaultdict(list)
    for folder in ("events", "items", "rejects", ROOT):
        for uri in storage.list_files(storage.join(settings.lake, folder)):
            match = pattern.fullmatch(uri.rsplit("/", 1)[-1])
            if match:
                path = f"{folder}/" + uri.rsplit(f"/{folder}/", 1)[-1]
                found[match[1], int(match[2]) if "T" in match[1] else PART].append(path)
    for (unit, part), paths in sorted(found.items()):
        builds = BuildLedger(ledger, settings.lake, settings.delivery, unit)
        if builds.part(part) is None:
            builds.adopt(part, paths)
            if "T" not in unit:
                DayLedger(ledger, settings.lake, settings.delivery, unit).reclaim()
