"""The ledger keeps the files of each delivery and each lake apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.lakes import LakeUnderTest, event, key

from pismo_lake.cli.main import main
from pismo_lake.ledger import FileLedger, LakeFiles, Ledger
from pismo_lake.ledger.queries import KEYS_PER_QUERY, chunks

if TYPE_CHECKING:
    from pathlib import Path

A, B = key(12, "a"), key(13, "b")


def other_lake(lake: LakeUnderTest) -> FileLedger:
    return FileLedger(lake.ledger, f"{lake.settings.lake}-2", "test")


def test_a_second_lake_on_a_ledger_gets_its_own_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = tmp_path / "raw" / "main_stream/2026/3/1/12"
    raw.mkdir(parents=True)
    (raw / "f1").write_bytes(event("e-1") + event("e-2"))
    for name in ("a", "b"):
        where = ["--lake", str(tmp_path / name), "--landing", str(tmp_path / f"{name}-landing")]
        assert main(["flatten", str(tmp_path / "raw"), *where, "--ledger", f"sqlite:///{tmp_path}/ledger.db"]) == 0
        assert "1 new file(s), 0 known; 2 events" in capsys.readouterr().out
    first, second = (sorted((tmp_path / name / "events").rglob("*.parquet")) for name in ("a", "b"))
    assert [path.name for path in first] == [path.name for path in second] != []
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_no_question_about_files_is_answered_from_another_lake_or_delivery(lake: LakeUnderTest) -> None:
    lake.land({A: event("a"), B: event("b")})
    lake.land_raw({key(14, "c"): event("c")})
    for files in (other_lake(lake), FileLedger(lake.ledger, lake.settings.lake, "another")):
        assert files.find_known([A, B, key(14, "c")]) == {}
        assert files.hours_of_keys([A, B]) == set()
        assert files.units_of_hours(["2026-03-01T12"]) == []
        assert files.unbuilt_units() == []
        assert files.of_hour("2026-03-01T12") == files.of_day("2026-03-01") == files.find_named([A, B]) == []
        assert files.names() == set()
        assert files.count_by_hour("2026-03-01T00", "2026-03-01T23") == {}
        assert files.last_hour_before("2026-03-02T00") is None
        assert files.newest_key() is None
    assert lake.files.find_known([A, B, key(14, "c")]).keys() == {A, B, key(14, "c")}
    assert lake.files.hours_of_keys([A, B]) == {"2026-03-01T12", "2026-03-01T13"}
    assert lake.files.names() == {A, B}


def test_no_question_about_a_lake_is_answered_from_another(lake: LakeUnderTest) -> None:
    lake.land({A: event("a")})
    lake.build()
    lake.close("2026-03-01")
    lake.land({key(12, "late"): event("late")})
    times = ("2026-03-01T00", "2026-03-01T23", None)
    there, other = lake.lake_files, LakeFiles(lake.ledger, f"{lake.settings.lake}-2")
    assert other.every() == other.list_not_closed() == other.list_overlapping(*times) == other.deliveries() == []
    assert other.list_overlapping_indexes(*times) == other.list_closed_days() == []
    assert [len(there.every()), len(there.list_not_closed()), len(there.list_overlapping(*times))] == [2, 1, 2]
    assert there.deliveries() == ["test"]
    assert [delivery for delivery, _ in there.list_closed_days()] == ["test"]


def test_a_file_is_recorded_where_its_handle_says(lake: LakeUnderTest) -> None:
    lake.land({A: event("a")})
    (record,) = lake.lake_files.every()
    recorded = other_lake(lake).record(replace(record, lake="/elsewhere"), 1)
    assert recorded.lake == f"{lake.settings.lake}-2"
    assert other_lake(lake).names() == lake.files.names() == {A}


@pytest.mark.parametrize("count", [0, 1, KEYS_PER_QUERY, KEYS_PER_QUERY + 1])
def test_chunks_hold_every_key_once(count: int) -> None:
    keys = [str(number) for number in range(count)]
    found = list(chunks(keys))
    assert [each for chunk in found for each in chunk] == keys
    assert all(0 < len(chunk) <= KEYS_PER_QUERY for chunk in found)


def test_a_ledger_is_closed_at_the_end_of_its_block(tmp_path: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger, ledger.transaction():
        pass
    # the last connection to close takes the files of the write-ahead log away
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.db"]
