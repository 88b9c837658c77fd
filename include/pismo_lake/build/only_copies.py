"""Keep rows of the lake whose raw file has no index: they may be the only good copy of their events.

The raw file is not in landing, or it is there and cannot be indexed, for example because its bytes are damaged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc

from pismo_lake import storage
from pismo_lake.errors import LakeError
from pismo_lake.hours import DAY_LENGTH
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.raw_files import RawLedger
from pismo_lake.spelling import list_in_words
from pismo_lake.storage.encryption import open_parquet
from pismo_lake.storage.errors import sound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pismo_lake.ledger import Ledger
    from pismo_lake.ledger.builds import PartRecord
    from pismo_lake.settings.lake import LakeSettings

_SOURCES = {"events": "_source_file", "rejects": "source_file"}


def refuse_only_copies(settings: LakeSettings, ledger: Ledger, unit: str, replaced: Iterable[PartRecord]) -> None:
    """Refuse to replace outputs that a rebuilt ledger has adopted, if a raw file of their rows has no index.

    The ledger knows the files of every other output, because it has recorded their build.

    Raises:
        LakeError: a raw file is not known, for example because landing is lost or is another folder; or it is in
            landing, and it cannot be indexed.
    """
    lost = find_only_copies(settings, ledger, unit, replaced)
    if lost:
        raise LakeError(describe_only_copies(settings.landing, lost))


def find_only_copies(
    settings: LakeSettings, ledger: Ledger, unit: str, replaced: Iterable[PartRecord]
) -> dict[str, str]:
    """Return the raw files that adopted outputs of a unit have rows of, and that have no index.

    Each comes with the reason that it has none; the reason is empty if landing does not have the file.
    """
    sources = {source for record in replaced if not record.counts for source in _sources_of(settings, record.outputs)}
    if not sources:
        return {}
    landed = FileLedger(ledger, settings.lake, settings.delivery)
    of_day = {record.name: record for record in landed.of_day(unit[:DAY_LENGTH])}
    # a build would write no event of a file that is unreadable by now; a reject is all that it writes
    lost = {
        name: f"it is unreadable ({of_day[name].problem}): forget it first, with files --forget"
        for root, name in sources
        if root == "events" and name in of_day and of_day[name].status == "unreadable"
    }
    unknown = {name for _, name in sources} - of_day.keys()
    if unknown:
        # a file that was landed for another hour than its path names may have lost its index
        unknown -= landed.names()
        waiting = RawLedger(ledger, settings.lake, settings.delivery).list_waiting()
        problems = {raw.name: raw.problem or "it waits for its index" for raw in waiting}
        lost |= {name: problems.get(name, "") for name in unknown}
    return lost


def describe_only_copies(landing: str, lost: Mapping[str, str]) -> str:
    """Return the raw files that `find_only_copies` found, why a build refuses, and what mends it.

    `landing` is named as the place where a file is missing; it may be empty.
    """
    # a file of which landing has nothing comes first: perhaps the folder is the wrong one
    name = min(lost, key=lambda name: (bool(lost[name]), name))
    rows = f"the lake has rows of {list_in_words(name, sorted(lost))}"
    if lost[name]:
        return (
            f"{rows}, and the file in landing cannot be indexed, so a build would remove the only copy: {lost[name]};"
            " if its right bytes are in landing, the next run builds the unit"
        )
    place = f"landing {landing}" if landing else "landing"
    return (
        f"{rows}, and {place} does not have the file, so a build would remove the only copy: run ledger rebuild with"
        " the right --landing, or ask for its object key again"
    )


def _sources_of(settings: LakeSettings, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the names of the raw files that rows of outputs are from, each with the root of the output."""
    for path in paths:
        root, uri = path.split("/", 1)[0], storage.join(settings.lake, path)
        column = _SOURCES.get(root)
        if column is None:
            continue
        try:
            with storage.open_for_reading(uri) as source, sound(uri):
                file = open_parquet(source, settings.key)
                for group in range(file.metadata.num_row_groups):
                    names = file.read_row_group(group, [column], use_threads=False).column(0)
                    yield from ((root, name) for name in pc.unique(names).to_pylist())
        except FileNotFoundError:
            continue
        except LakeError as error:
            if error.__cause__ is None:
                # it is encrypted, and the key is not given
                raise
            # a build writes a damaged file again
