"""Payloads are kept from indexing to building: the lake is the same without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.lakes import LakeUnderTest, at, event, find_in_rows, key

from pismo_lake.build import read as build_read
from pismo_lake.contracts.columns import FastReader
from pismo_lake.events.erase import erase
from pismo_lake.index import fast as quick_index
from pismo_lake.index.parsed import read_kept_tables
from pismo_lake.index.rebuild import rebuild_ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pismo_lake.ledger import FileRecord

DAY = "2026-03-01"
NEWER = {f"new_{n}": n for n in range(3)}


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Index small files on the fast path too, which parses payloads together."""
    monkeypatch.setattr(quick_index, "_SMALL_FILE", 0)
    monkeypatch.setattr(quick_index, "_FEW", 2)
    monkeypatch.setattr(quick_index, "_STEP", 3)


def _feed() -> dict[str, bytes]:
    """Return files with a growing contract, a widened `count`, copies, conflicts and damage."""
    data = [{"amount": n + 0.25, "count": n, "name": f"n:{n}", "list": [{"a": n}]} for n in range(60)]
    first = [event(f"e-{n}", each, timestamp=at(9)) for n, each in enumerate(data)]
    second = [event(f"f-{n}", each | (NEWER if n > 30 else {}), timestamp=at(9)) for n, each in enumerate(data)]
    third = [event(f"g-{n}", each, timestamp=at(10), offset=n) for n, each in enumerate(data)]
    conflict, odd = first[4].replace(b"4.25", b"4.75"), event("odd", {"amount": "1.5"}, timestamp=at(9))
    fourth = [event(f"h-{n}", each | {"count": n + 0.5}, timestamp=at(10)) for n, each in enumerate(data)]
    parts = {
        key(9, "a"): first,
        key(9, "b"): [*first[:20], *second, conflict, odd],
        key(9, "c"): third,
        key(10, "d"): [b'{"event_id":', *first[:5]],
        key(10, "e"): fourth,
    }
    return {name: b"".join(events) for name, events in parts.items()}


def _kept(lake: LakeUnderTest) -> list[Path]:
    return sorted((lake.root / "landing").rglob("*.columns"))


def _parses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events builds had to parse, call by call."""
    counts: list[int] = []
    real = FastReader.read

    def read(self: FastReader, text: bytes, count: int, *, headless: bool = False) -> object:
        counts.append(count)
        return real(self, text, count, headless=headless)

    monkeypatch.setattr(FastReader, "read", read)
    return counts


def _with_and_without(tmp_path: Path, act: Callable[[LakeUnderTest], None]) -> tuple[LakeUnderTest, LakeUnderTest]:
    """Build the same lake from kept payloads, and without them."""
    lakes = []
    for name in ("with", "without"):
        lake = LakeUnderTest(tmp_path / name)
        for name_of, raw in _feed().items():
            lake.land({name_of: raw})
        assert _kept(lake)
        if name == "without":
            for path in _kept(lake):
                path.unlink()
        act(lake)
        lakes.append(lake)
    return lakes[0], lakes[1]


def test_the_lake_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    kept, parsed = _with_and_without(tmp_path, lambda lake: lake.build() and None)
    assert len(kept.rows()) == 241
    assert kept.digest() == parsed.digest()
    assert not _kept(kept)


def test_a_day_is_closed_from_them(tmp_path: Path) -> None:
    kept, parsed = _with_and_without(tmp_path, lambda lake: lake.close(DAY) and None)
    assert {path: digest for path, digest in kept.digest().items() if "reports" not in path} == {
        path: digest for path, digest in parsed.digest().items() if "reports" not in path
    }
    assert not _kept(kept)


def test_what_is_kept_is_not_parsed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = LakeUnderTest(tmp_path)
    raw = b"".join(event(f"e-{n}", {"amount": n + 0.25}) for n in range(50))
    lake.land({key(9): raw})
    lake.build()
    lake.land({key(10): raw.replace(b'"e-', b'"f-')})
    counts = _parses(monkeypatch)
    lake.build()
    assert counts == []
    assert len(lake.rows()) == 100
    # another build of the same finds nothing kept
    lake.build(["2026-03-01T10"], force=True)
    assert sum(counts) == 50


def _reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the raw files that builds read."""
    names: list[str] = []
    real = build_read.landed_map

    def landed_map(record: FileRecord) -> object:
        names.append(record.name)
        return real(record)

    monkeypatch.setattr(build_read, "landed_map", landed_map)
    return names


@pytest.mark.parametrize("many", [False, True])
def test_a_raw_file_is_read_only_if_many_of_its_events_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, many: bool
) -> None:
    lake = LakeUnderTest(tmp_path)
    raw = b"".join(event(f"e-{n}", {"amount": n + 0.25}) for n in range(99))
    # a type with one event, and a payload that does not fit, are read one by one
    odd = event("rare", {"n": 1}, event_type="rare-1") + event("odd", {"amount": "1.5", "secret": "p-7"})
    lake.land({key(8): raw + odd})
    lake.build()
    more = b"".join(event(f"one-{n}", {"amount": f"{n}"}) for n in range(30 if many else 0))
    lake.land({key(9): (raw + odd + more).replace(b'_id":"', b'_id":"x-')})
    (kept,) = _kept(lake)
    tables = read_kept_tables(kept.read_bytes())
    assert [table.column_names for table in tables].count(["raw"]) == (not many)
    # the proof of an erasure searches these bytes too
    assert any(b"p-7" in raw for table in tables if not many for raw in table.column(-1).to_pylist()) != many
    read = _reads(monkeypatch)
    lake.build()
    assert bool(read) == many
    found = {row["event_id"]: row for row in lake.rows()}
    assert found["x-rare"]["data__n"] == 1
    assert len(found) == 2 * 101 + len(range(30 if many else 0))


@pytest.mark.parametrize("harm", ["cut", "flipped", "of other bytes", "of another lake"])
def test_what_is_doubtful_is_left_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str) -> None:
    lake = LakeUnderTest(tmp_path)
    raw = b"".join(event(f"e-{n}", {"amount": n + 0.25}) for n in range(50))
    lake.land({key(8): raw.replace(b'"e-', b'"d-')})
    lake.build()
    lake.land({key(9): raw, key(10): raw.replace(b'"e-', b'"f-').replace(b"0.25", b"0.75")})
    mine, other = _kept(lake)
    content = mine.read_bytes()
    if harm == "cut":
        mine.write_bytes(content[: len(content) // 2])
    elif harm == "flipped":
        mine.write_bytes(content[:99] + bytes([content[99] ^ 1]) + content[100:])
    elif harm == "of other bytes":
        mine.write_bytes(other.read_bytes())
    else:
        strange = LakeUnderTest(tmp_path / "strange")
        strange.land({key(8): raw.replace(b'"e-', b'"d-')})
        strange.land({key(9): raw})
        mine.write_bytes(_kept(strange)[-1].read_bytes())
    counts = _parses(monkeypatch)
    lake.build()
    assert sum(counts) == 50
    assert len(lake.rows()) == 150
    assert not _kept(lake)


def test_erasing_in_landing_leaves_no_copy(tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path)
    raw = b"".join(event(f"e-{n}", {"person": f"p-{n}"}) for n in range(50))
    lake.land({key(9): raw})
    lake.build()
    # another copy waits for its build
    lake.land({key(10): raw})
    assert any(b"p-7" in path.read_bytes() for path in (lake.root / "landing").rglob("*") if path.is_file())
    found = find_in_rows(lake.settings, [("data__person", "p-7")])
    erase(lake.settings, lake.ledger, found, "request 1", raw=True)
    assert not _kept(lake)
    assert not [path for path in lake.root.rglob("*") if path.is_file() and b'"p-7"' in path.read_bytes()]


@pytest.mark.parametrize("closed", [False, True])
def test_they_go_too_where_nothing_has_to_be_built(tmp_path: Path, *, closed: bool) -> None:
    lake = LakeUnderTest(tmp_path)
    lake.land(_feed())
    lake.close(DAY) if closed else lake.build()
    before = lake.digest()
    # an index that was lost is made again when its key is asked for
    (index,) = (lake.root / "landing").rglob("_index/**/9/a.parquet")
    index.unlink()
    lake.land({key(9, "a"): _feed()[key(9, "a")]})
    assert index.exists()
    assert not _kept(lake)
    # the check of an unchanged unit also removes kept payloads
    stray = index.with_suffix(".columns")
    stray.write_bytes(b"anything")
    lake.close(DAY) if closed else lake.build(["2026-03-01T09"])
    assert not stray.exists()
    assert lake.digest() == before


def test_a_ledger_that_is_made_anew_leaves_none_behind(tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path)
    lake.land(_feed())
    lake.build()
    before = lake.digest()
    lake.lose_ledger()
    lake = LakeUnderTest(tmp_path)
    rebuild_ledger(lake.settings, lake.ledger)
    assert _kept(lake)
    lake.build()
    assert not _kept(lake)
    assert lake.digest() == before
