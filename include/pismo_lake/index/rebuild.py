"""Make the ledger agree with landing and lake, after a loss or a restore from an old copy.

The order is: block the ledger for all others, restore contracts, restore erasures, index raw files, adopt the outputs
in the lake, give the lake to this ledger. Nothing is built before that. Each step can be repeated: after a kill, a
second call gives the same result as an undisturbed one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.contracts.store import ContractStore
from pismo_lake.errors import PismoError
from pismo_lake.hours import DAY_LENGTH, PublishHour
from pismo_lake.index.files import read_note
from pismo_lake.index.indexer import Indexer
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.adoption import adopt_outputs
from pismo_lake.ledger.binding import LakeBinding
from pismo_lake.ledger.days import PART
from pismo_lake.ledger.erasures import restore_erasures
from pismo_lake.ledger.known_files import list_outputs
from pismo_lake.ledger.raw_files import RawFile, RawLedger
from pismo_lake.paths import ERASURES, erasures_path, key_of_path, safe_segment, split_output_name
from pismo_lake.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pismo_lake.ledger import Ledger
    from pismo_lake.progress import Progress
    from pismo_lake.settings.lake import LakeSettings

_VERSION = re.compile(r"~[0-9a-f]{12}$")


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The result of a rebuild.

    `units` are to be built (unchanged content gives the same outputs). `orphans` are raw files without a publish hour:
    their landing failed, and they stay unchanged. `failures` are (file name, problem) of raw files that could not be
    indexed. `adopted` are units whose outputs in the lake were not in the ledger. `strangers` are files among the
    outputs that no build has written. `waiting` are deliveries that must be rebuilt too before the ledger can be used.
    """

    files: int
    contracts: int
    units: tuple[str, ...]
    orphans: tuple[str, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()
    adopted: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


def rebuild_ledger(
    settings: LakeSettings, ledger: Ledger, *, checkpoint: Callable[[str], None] | None = None,
    progress: Progress = SILENT, kept: Collection[str] = (),
) -> Rebuilt:  # fmt: skip
    """Record every raw file of the delivery in rank order, and adopt the outputs in the lake.

    `checkpoint` is called with the name of the next step ("contracts", "erasures", "file" for each raw file,
    "outputs", "bind"), so that tests can kill the process there. `kept` are paths below the lake that are no outputs:
    only older snapshots of its tables name them.
    """
    step = checkpoint or (lambda _: None)
    binding = LakeBinding(ledger, settings.lake, settings.delivery, settings.landing)
    if not _has_content(settings):
        return Rebuilt(0, 0, ())
    binding.begin_rebuild()
    step("contracts")
    contracts = ContractStore(ledger, settings).restore()
    step("erasures")
    restore_erasures(ledger, settings.lake, storage.join(settings.landing, erasures_path(settings.delivery)))
    files, orphans, failures = _index_raw_files(settings, ledger, step, progress)
    step("outputs")
    found, leaving, strangers = _find_outputs(settings, kept)
    adopted = adopt_outputs(ledger, settings.lake, settings.delivery, found, leaving)
    step("bind")
    waiting = binding.end_rebuild()
    units = FileLedger(ledger, settings.lake, settings.delivery).unbuilt_units()
    return Rebuilt(
        files, contracts, tuple(units), tuple(orphans), tuple(failures), tuple(adopted), tuple(strangers),
        tuple(waiting),
    )  # fmt: skip


def find_raw_file(settings: LakeSettings, uri: str) -> tuple[RawFile, PublishHour] | None:
    """Return a raw file that the ledger does not know; None if it has no publish hour."""
    note = _note(settings, uri, storage.join(settings.landing, safe_segment(settings.delivery)))
    return (_raw_file(note, uri), PublishHour.parse(note["publish_hour"])) if "publish_hour" in note else None


def _raw_file(note: dict[str, str], uri: str) -> RawFile:
    etag, published = note.get("etag") or None, note.get("published_at")
    return RawFile(note["name"], note["key"], storage.size(uri), etag, note.get("sha256"), uri, published)


def _has_content(settings: LakeSettings) -> bool:
    """Return whether there is a lake or a raw file; otherwise a rebuild writes nothing."""
    root = storage.join(settings.landing, safe_segment(settings.delivery))
    return any(next(iter(storage.list_files(place)), None) is not None for place in (settings.lake, root))


def _index_raw_files(
    settings: LakeSettings, ledger: Ledger, step: Callable[[str], None], progress: Progress
) -> tuple[int, list[str], list[tuple[str, str]]]:
    """Index and record the raw files that the ledger lacks.

    Return their number, the orphans and the failures.
    """
    root = storage.join(settings.landing, safe_segment(settings.delivery))
    own = ("_index/", f"{ERASURES}/")
    raws = [uri for uri in storage.list_files(root) if not uri[len(root) :].lstrip("/").startswith(own)]
    found = [(_note(settings, uri, root), uri) for uri in raws]
    hours = {note["key"]: PublishHour.parse(note["publish_hour"]) for note, _ in found if "publish_hour" in note}
    indexer = Indexer(settings, ledger, lambda file, _: hours[file.key])
    waiting = RawLedger(ledger, settings.lake, settings.delivery)
    known = FileLedger(ledger, settings.lake, settings.delivery).names()
    count, orphans = 0, []
    progress.start("indexing", len(found))
    for note, uri in sorted(found, key=lambda item: (str(hours.get(item[0]["key"], "")), item[0]["name"])):
        progress.advance()
        if note["name"] in known:
            continue
        if note["key"] not in hours:
            orphans.append(uri)
            continue
        step("file")
        file = _raw_file(note, uri)
        try:
            indexer.take(file, None)
        except PismoError as error:
            waiting.note([file])
            waiting.record_problem(file.name, indexer.record_failure(file, error))
            continue
        count += 1
    return count, orphans, indexer.failures


def _note(settings: LakeSettings, uri: str, root: str) -> dict[str, str]:
    """Return the note in a raw file's index; without an index, the name and hour of its path."""
    path = uri[len(root) :].strip("/")
    index = storage.join(settings.landing, safe_segment(settings.delivery), "_index", f"{path}.parquet")
    try:
        note = read_note(index)
    except FileNotFoundError:
        note = {}
    name = key_of_path(path)
    return note or {"name": name, "key": _VERSION.sub("", name)} | _hour_of(name)


def _hour_of(name: str) -> dict[str, str]:
    hour = PublishHour.of_key(name)
    return {"publish_hour": str(hour)} if hour else {}


def _find_outputs(
    settings: LakeSettings, kept: Collection[str]
) -> tuple[dict[tuple[str, int], list[str]], dict[tuple[str, int], list[str]], list[str]]:
    """Return the outputs of the delivery in the lake by (unit, part), the kept files by (unit, part), and others.

    A closed day has taken over the kept files of its hours.
    """
    mine = safe_segment(settings.delivery)
    found: dict[tuple[str, int], list[str]] = defaultdict(list)
    leaving: dict[tuple[str, int], list[str]] = defaultdict(list)
    strangers = []
    for path in list_outputs(settings.lake):
        named = split_output_name(path.rsplit("/", 1)[-1])
        if named is None:
            strangers.append(path)
        elif named[0] == mine:
            # in the name of a day's output, the number counts the files of a partition
            unit, part = named[1:]
            (leaving if path in kept else found)[unit, part if "T" in unit else PART].append(path)
    for unit, part in sorted(leaving):
        day = (unit[:DAY_LENGTH], PART)
        if day in found and (unit, part) != day:
            leaving[day] += leaving.pop((unit, part))
    return found, leaving, strangers
