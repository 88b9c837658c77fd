"""Keep rows of the lake whose raw file the ledger does not know: they may be the only copy of their events."""

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
    from collections.abc import Iterable, Iterator

    from pismo_lake.ledger import Ledger
    from pismo_lake.ledger.builds import PartRecord
    from pismo_lake.settings.lake import LakeSettings

_SOURCES = {"events": "_source_file", "rejects": "source_file"}


def refuse_only_copies(settings: LakeSettings, ledger: Ledger, unit: str, replaced: Iterable[PartRecord]) -> None:
    """Refuse to replace outputs that a rebuilt ledger has adopted, if a raw file of their rows is not in it.

    The ledger knows the files of every other output, because it has recorded their build.

    Raises:
        LakeError: a raw file is not known, for example because landing is lost or is another folder.
    """
    lost = {name for record in replaced if not record.counts for name in _sources_of(settings, record.outputs)}
    if not lost:
        return
    landed = FileLedger(ledger, settings.lake, settings.delivery)
    lost.difference_update(record.name for record in landed.of_day(unit[:DAY_LENGTH]))
    if lost:
        # a file that was landed for another hour than its path names may have lost its index
        waiting = RawLedger(ledger, settings.lake, settings.delivery).list_waiting()
        lost -= landed.names() | {raw.name for raw in waiting}
    if lost:
        msg = (
            f"the lake has rows of {list_in_words(min(lost), sorted(lost))}, and landing {settings.landing} does not"
            " have the file, so a build would remove the only copy: run ledger rebuild with the right --landing, or"
            " ask for its object key again"
        )
        raise LakeError(msg)


def _sources_of(settings: LakeSettings, paths: Iterable[str]) -> Iterator[str]:
    """Yield the names of the raw files that rows of outputs are from."""
    for path in paths:
        column, uri = _SOURCES.get(path.split("/", 1)[0]), storage.join(settings.lake, path)
        if column is None:
            continue
        try:
            with storage.open_for_reading(uri) as source, sound(uri):
                file = open_parquet(source, settings.key)
                for group in range(file.metadata.num_row_groups):
                    names = file.read_row_group(group, [column], use_threads=False).column(0)
                    yield from pc.unique(names).to_pylist()
        except FileNotFoundError:
            continue
        except LakeError as error:
            if error.__cause__ is None:
                # it is encrypted, and the key is not given
                raise
            # a build writes a damaged file again
