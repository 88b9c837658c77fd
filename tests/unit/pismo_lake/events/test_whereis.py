"""Find every copy of an event by the ids of closed days and the indexes of open ones.

No other files are read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.lakes import LakeUnderTest, at, event, key

from pismo_lake.build.plan import plan_units
from pismo_lake.errors import LakeError
from pismo_lake.events import find as whereis
from pismo_lake.events.find import find_event, keys_of_events, raw_event
from pismo_lake.index import ids as id_index

DAY = "2026-03-01"


def states(lake: LakeUnderTest, event_id: str) -> list[str]:
    return [place.state for place in find_event(lake.settings, lake.ledger, event_id)]


@pytest.mark.parametrize("closed", [False, True])
def test_every_copy_is_named_with_what_became_of_it(lake: LakeUnderTest, *, closed: bool) -> None:
    good, other = event("e-1", timestamp=at(1)), event("e-1", {"account_id": 8}, timestamp=at(1))
    bad = b'{"event_id":"e-1","domain":"pix"}'
    lake.ledger.run = "a run"
    lake.land({key(1): event("e-0", timestamp=at(1)) + good, key(2): good + other + bad})
    if closed:
        lake.close(DAY)
    else:
        lake.build()
    places = find_event(lake.settings, lake.ledger, "e-1")
    assert [place.state for place in places] == [
        "in the lake", "duplicate", "duplicate with other content", "rejected: missing_event_type",
    ]  # fmt: skip
    assert [raw_event(place) for place in places] == [good, good, other, bad]
    lake_row = places[0].lake_row
    assert lake_row is not None
    row = pq.ParquetFile(lake_row.parquet).read_row_group(lake_row.row_group).slice(lake_row.row, 1).to_pylist()[0]
    assert (row["event_id"], row["_source_offset"]) == ("e-1", places[0].offset)
    assert (lake_row.run, places[0].record.run) == ("a run", "a run")
    assert "by a run" in str(places[0])


def test_an_event_that_waits_to_be_built_says_so(lake: LakeUnderTest) -> None:
    lake.land({key(1): event("e-1", timestamp=at(1))})
    assert states(lake, "e-1") == ["not built"]
    assert states(lake, "e-2") == []


def test_an_untimed_event_and_a_compressed_file_are_found(lake: LakeUnderTest) -> None:
    import gzip

    lake.land({key(1): gzip.compress(event("e-0", timestamp=at(1)) + event("e-1", timestamp=...))})
    lake.close(DAY)
    (place,) = find_event(lake.settings, lake.ledger, "e-1")
    assert place.lake_row is not None
    assert raw_event(place) == event("e-1", timestamp=...)


def test_a_late_file_of_a_closed_day_is_found_too(lake: LakeUnderTest) -> None:
    lake.land({key(1): event("e-1", timestamp=at(1))})
    lake.close(DAY)
    lake.land({key(2): event("e-1", timestamp=at(1))})
    lake.build()
    assert states(lake, "e-1") == ["in the lake", "duplicate"]
    assert keys_of_events(lake.settings, lake.ledger, ["e-1", "e-9"]) == {"e-1": [key(1), key(2)], "e-9": []}


def test_closed_days_are_not_scanned(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted: of thirty files in closed days one index and one row group of ids are read."""
    monkeypatch.setattr(id_index, "_ROW_GROUP", 8)
    for day in (1, 2, 3):
        files = {
            key(hour, day=day): b"".join(event(f"e-{day}-{hour}-{n}", timestamp=at(hour, day)) for n in range(20))
            for hour in range(10)
        }
        lake.land(files)
        lake.close(f"2026-03-0{day}")
    read: list[str] = []
    groups: list[int] = []
    real, real_group = whereis.read_index, pq.ParquetFile.read_row_groups
    monkeypatch.setattr(whereis, "read_index", lambda record, *rest: (read.append(record.name), real(record, *rest))[1])
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_groups",
        lambda self, wanted, **options: (groups.extend(wanted), real_group(self, wanted, **options))[1],
    )
    assert states(lake, "e-2-5-13") == ["in the lake"]
    assert read == [key(5, day=2)]
    assert len(groups) <= 3


def test_ids_are_sorted_and_whole_however_many_passes(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_index, "_EVENTS_AT_ONCE", 7)
    lake.land({key(hour): b"".join(event(f"{n * 7919 % 100:03d}-{hour}") for n in range(9)) for hour in range(6)})
    lake.close(DAY)
    (path,) = (lake.root / "lake" / "_ids").rglob("*.parquet")
    ids = pq.ParquetFile(path).read().column("event_id").to_pylist()
    assert ids == sorted(ids)
    assert len(ids) == 54


def test_a_plan_says_what_would_be_built_and_replaced(lake: LakeUnderTest) -> None:
    lake.land({key(1): event("e-1", timestamp=at(1))})

    def plan(*units: str, force: bool = False) -> list[tuple[str, str, int]]:
        found = plan_units(lake.settings, lake.ledger, units, force=force)
        return [(part.unit, part.state, len(part.replaces)) for part in found]

    hour = f"{DAY}T01"
    assert plan(hour, DAY) == [(hour, "new", 0), (DAY, "new", 0)]
    lake.build()
    assert plan(hour, DAY) == [(hour, "unchanged", 1), (DAY, "new", 1)]
    assert plan(hour, force=True) == [(hour, "forced", 1)]
    lake.close(DAY)
    assert plan(hour, DAY) == [(DAY, "unchanged", 2)]
    lake.land({key(2): event("e-2", timestamp=at(2))})
    before = lake.digest()
    assert plan(DAY) == [(DAY, "changed", 2)]
    assert lake.digest() == before


def test_a_search_during_a_close_finds_what_it_moves(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The close replaces the id index of the day between the look at the ledger and the reading."""
    lake.land({key(3): event("e-1", timestamp=at(3))})
    lake.close(DAY)
    lake.land({key(4): event("e-1", timestamp=at(3)) + event("e-2", timestamp=at(4))})
    lake.build()
    read, closes = whereis.find_ids, [True]

    def close_first(uri: str, event_id: str) -> list[tuple[str, int]]:
        if closes and closes.pop():
            lake.close(DAY)
            assert not Path(uri).exists()
        return read(uri, event_id)

    monkeypatch.setattr(whereis, "find_ids", close_first)
    found = find_event(lake.settings, lake.ledger, "e-1")
    assert [(place.state, place.record.key) for place in found] == [("in the lake", key(3)), ("duplicate", key(4))]
    assert closes == []


def test_a_row_that_moves_during_a_search_is_found(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.put(event("e-1", timestamp=at(3)), key=key(3))
    read, closes = whereis.read_index, [True]

    def close_first(*arguments: Any) -> Any:
        if closes and closes.pop():
            lake.close(DAY)
        return read(*arguments)

    monkeypatch.setattr(whereis, "read_index", close_first)
    (found,) = find_event(lake.settings, lake.ledger, "e-1")
    assert found.state == "in the lake"
    assert found.lake_row is not None
    assert Path(found.lake_row.parquet).exists()


def test_a_missing_id_index_is_named(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whereis, "_PAUSE", 0.0)
    lake.land({key(3): event("e-1", timestamp=at(3))})
    lake.close(DAY)
    (ids,) = (lake.root / "lake" / "_ids").rglob("*.parquet")
    ids.unlink()
    with pytest.raises(LakeError, match=f"{ids}: missing, but the ledger names it; `check --repair`"):
        find_event(lake.settings, lake.ledger, "e-1")
