"""Indexes of earlier versions have another hash of each event; copies are still told apart."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.lakes import LakeUnderTest, at, event, find_in_rows, key

from pismo_lake.events.erase import erase
from pismo_lake.events.find import find_event
from pismo_lake.index.files import NOTE, read_index_at
from pismo_lake.index.keys import earlier_hash
from pismo_lake.index.rebuild import rebuild_ledger
from pismo_lake.storage.parquet import index_bytes

SAME, OTHER = event("same", {"n": 1}, timestamp=at(9)), event("other", {"n": 1}, timestamp=at(9))
DIFFERS = OTHER.replace(b'"n":1', b'"n":2').replace(b'"n": 1', b'"n": 2')


def make_earlier(lake: LakeUnderTest, name: str) -> None:
    """Write the index of a landed file again, as an earlier version wrote it."""
    (path,) = (lake.root / "landing").rglob(f"{name}.parquet")
    (raw,) = (each for each in (lake.root / "landing").rglob(name) if each.is_file())
    data, table = raw.read_bytes(), read_index_at(str(path))
    spans = zip(table["offset"].to_pylist(), table["length"].to_pylist(), strict=True)
    hashes = pa.array([earlier_hash(data[start : start + length]) for start, length in spans], pa.binary(8))
    place = table.column_names.index("content_hash")
    table = table.set_column(place, table.schema.field("content_hash"), hashes).drop_columns(["content_xxh3"])
    note = (pq.read_schema(path).metadata or {})[NOTE]
    assert json.loads(note)
    path.write_bytes(index_bytes(table.replace_schema_metadata({NOTE: note})))


def land(lake: LakeUnderTest, *, earlier: str) -> None:
    """Land two files with copies of two events, one index of which is of an earlier version."""
    assert DIFFERS != OTHER
    lake.land({key(9, "first"): SAME + OTHER, key(9, "second"): event("new", timestamp=at(9)) + DIFFERS + SAME})
    make_earlier(lake, earlier)


@pytest.mark.parametrize("earlier", ["first", "second"])
def test_a_copy_with_a_hash_of_another_kind_is_a_conflict_only_if_it_differs(lake: LakeUnderTest, earlier: str) -> None:
    land(lake, earlier=earlier)
    (built,) = lake.build().values()
    assert (built.rows, built.duplicates, built.conflicts) == (3, 2, 1)
    (reject,) = lake.rejects()
    assert reject["reason"] == "conflicting_duplicate"
    assert (reject["source_file"], reject["raw"]) == (key(9, "second"), DIFFERS)


@pytest.mark.parametrize("earlier", ["first", "second"])
def test_a_copy_in_an_earlier_hour_is_compared_too(lake: LakeUnderTest, earlier: str) -> None:
    lake.land({key(9, "first"): event("alone", timestamp=at(9)) + SAME + OTHER, key(10, "second"): DIFFERS + SAME})
    make_earlier(lake, earlier)
    built = lake.build()
    assert [(hour.rows, hour.duplicates, hour.conflicts) for hour in built.values()] == [(3, 0, 0), (0, 2, 1)]


def test_a_copy_whose_winner_is_gone_from_landing_is_among_the_rejects(lake: LakeUnderTest) -> None:
    lake.land({key(9, "first"): SAME, key(10, "second"): SAME})
    make_earlier(lake, "second")
    lake.build(["2026-03-01T09"])
    (raw,) = (each for each in (lake.root / "landing").rglob("first") if each.is_file())
    raw.unlink()
    (built,) = lake.build(["2026-03-01T10"]).values()
    assert (built.duplicates, built.conflicts) == (1, 1)
    (reject,) = lake.rejects()
    assert (reject["source_file"], reject["raw"]) == (key(10, "second"), SAME)


@pytest.mark.parametrize("earlier", ["first", "second"])
def test_where_is_compares_the_bytes(lake: LakeUnderTest, earlier: str) -> None:
    land(lake, earlier=earlier)
    lake.build()
    states = {
        name: [place.state for place in find_event(lake.settings, lake.ledger, name)] for name in ("same", "other")
    }
    assert states == {"same": ["in the lake", "duplicate"], "other": ["in the lake", "duplicate with other content"]}


def test_a_blanked_file_of_an_earlier_version_is_still_known(lake: LakeUnderTest) -> None:
    land(lake, earlier="first")
    lake.build()
    erase(lake.settings, lake.ledger, find_in_rows(lake.settings, [], ["same"]), "test", raw=True)
    assert sorted(row["event_id"] for row in lake.rows()) == ["new", "other"]
    lake.lose_ledger()
    again = LakeUnderTest(lake.root)
    rebuild_ledger(again.settings, again.ledger)
    again.build()
    assert sorted(row["event_id"] for row in again.rows()) == ["new", "other"]
