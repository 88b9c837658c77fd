"""A file of a later hour is recorded and built while an earlier copy of its event is about to be recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lakes import LakeUnderTest, at, event, key

from pismo_lake.index.indexer import Indexer
from pismo_lake.index.run import index_landed

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

LATER = "2026-03-01T10"


def test_the_hour_of_the_later_copy_is_marked_with_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader through the catalog sees a row once, so a build of the earlier hour must know the mark at once."""
    lake, other = LakeUnderTest(tmp_path), LakeUnderTest(tmp_path)
    copies = event("copied", timestamp=at(9))
    real, marked = Indexer._blank_and_record, list[bool]()

    def record(self: Indexer, file: object, *arguments: object) -> object:
        if marked:
            return real(self, file, *arguments)
        marked.append(False)
        # another process lands and builds the later copy, after this one has looked for later copies
        other.land_raw({key(10): copies})
        index_landed(other.settings, other.ledger, names={key(10)})
        other.build([LATER])
        done = real(self, file, *arguments)
        marked[0] = LATER in other.files.unbuilt_units()
        return done

    monkeypatch.setattr(Indexer, "_blank_and_record", record)
    lake.land({key(9): copies})
    assert marked == [True]
    lake.build()
    assert [row["_source_file"] for row in lake.rows()] == [key(9)]
