"""A closing day takes its hours' rows only if a parse gives the same; the day's files are the same both ways."""

from __future__ import annotations

import gzip
import logging
import re
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from sqlalchemy import select, update
from tests.lakes import LakeUnderTest, at, event, key

from pismo_lake.build.hour_rows import HourRows, find_same
from pismo_lake.contracts.store import ContractStore
from pismo_lake.errors import LandedFileError
from pismo_lake.index.dedupe import JudgedInputs
from pismo_lake.ledger.tables import builds
from pismo_lake.settings.contracts import ContractRules
from pismo_lake.settings.privacy import Privacy, PrivacyKey
from pismo_lake.settings.rules import Action, Rule
from pismo_lake.storage import partition_writer
from pismo_lake.storage.partition_writer import content_bytes

if TYPE_CHECKING:
    from pathlib import Path

DAY = "2026-03-01"
SECRET = PrivacyKey("k1", b"a secret of some length")
POLICY = Privacy("test", (Rule("**/account_id", Action.HASH),), key=SECRET)


def payload(number: int) -> dict[str, Any]:
    """Return a payload with nulls, lists of each kind, decimals and a value without a column."""
    items = [{"code": "a", "amount": Decimal("1.5")}, None, {"code": None, "amount": number}][: number % 4]
    return {
        "account_id": str(number),
        "amount": Decimal(number) / 8,
        "note": None if number % 3 else "é" * number,
        "items": None if number % 5 == 4 else items,
        "texts": [["x", None], []][number % 2],
        "inner": {"flag": number % 2 == 0, "deep": {"when": at(3)}},
        "kind": number if number % 7 == 6 else "text",
    }


def files(hours: range) -> dict[str, bytes]:
    """Return files of three types in two dates, with a copy, a conflict and a reject in each."""
    found = {}
    for hour in hours:
        for name in "ab":
            events = [
                event(f"{hour}-{name}-{n}", payload(n), timestamp=at(hour, 1 + n % 2), event_type=f"type_{n % 3}")
                for n in range(12)
            ]
            events += [events[0], event(f"{hour}-{name}-1", payload(9), timestamp=at(hour, 2), event_type="type_1")]
            found[key(hour, name)] = b"".join([*events, b'{"no": "event"}'])
    return found


def close(lake: LakeUnderTest, caplog: pytest.LogCaptureFixture) -> int:
    """Close the day, and return how many files had their rows taken; compare with a parse of all."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert lake.close(DAY).parts_built == 1
    (taken,) = re.findall(r"the rows of (\d+) of \d+ files", caplog.text)
    before = lake.digest()
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert lake.close(DAY, force=True).parts_built == 1
    assert "the rows of 0 of" in caplog.text
    assert lake.digest() == before
    return int(taken)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"part_bytes": 9000},
        {"privacy": POLICY, "contracts": ContractRules(shipped=False, child_tables=("**",)), "part_bytes": 20_000},
    ],
    ids=["one part", "parts across hours", "policy and child tables"],
)
def test_taken_rows_give_the_files_that_a_parse_gives(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    # row groups of a few events, which end at the same rows both ways
    monkeypatch.setattr(partition_writer, "_ROW_GROUP_BYTES", 1500)
    lake = LakeUnderTest(tmp_path, **settings)
    lake.land(files(range(3, 6)))
    lake.build()
    assert close(lake, caplog) == 6


def test_files_in_another_order_than_their_parts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lake = LakeUnderTest(tmp_path, part_bytes=7000)
    early, late = files(range(3, 5)), {key(3, "0"): event("early", payload(1)), key(4, "aa"): event("late", payload(2))}
    lake.land(early)
    lake.build()
    lake.land(late)
    lake.build()
    assert {record.part for record in lake.files.of_day(DAY)} > {0}
    assert close(lake, caplog) == 6


def test_a_grown_contract_is_a_reason_to_parse(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lake = LakeUnderTest(tmp_path, part_bytes=1)
    # the path of a list without items has no column yet
    lake.land({key(3): event("e-3", {"a": 1, "list": []}), key(4): event("e-4", {"b": 1}, event_type="other")})
    lake.build()
    lake.land({key(5): event("e-5", {"a": 1, "list": [1]})})
    lake.build()
    assert close(lake, caplog) == 2
    assert [row["_rescued"] for row in lake.rows()] == [None, None, None]


def test_files_of_an_earlier_close_are_parsed(lake: LakeUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    lake.settings = replace(lake.settings, part_bytes=1)
    lake.land(files(range(3, 4)))
    lake.build()
    lake.close(DAY)
    lake.land({key(3, "late"): event("late", payload(5)), key(8, "late"): event("later", payload(5))})
    lake.build()
    assert close(lake, caplog) == 2


def test_an_earlier_copy_that_came_later_changes_the_verdict(
    lake: LakeUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    lake.settings = replace(lake.settings, part_bytes=1)
    lake.land({key(5): event("same", payload(1)), key(6): event("other", payload(2))})
    lake.build()
    lake.land({key(4): event("same", payload(1))})
    assert close(lake, caplog) == 1
    assert sorted(row["_source_file"] for row in lake.rows()) == [key(4), key(6)]


@pytest.mark.parametrize("damage", ["flipped", "gone"])
def test_a_damaged_file_of_an_hour_is_not_taken(
    lake: LakeUnderTest, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    lake.land(files(range(3, 4)))
    lake.build()
    path = min((lake.root / "lake" / "events").rglob("*.parquet"))
    whole = path.read_bytes()
    path.unlink() if damage == "gone" else path.write_bytes(whole.replace(b"3-a", b"4-b"))
    assert close(lake, caplog) == 0


@pytest.mark.parametrize("damage", ["altered", "cut", "gone"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_raw_file_that_is_damaged_after_its_hour_was_built_fails_the_close(
    lake: LakeUnderTest, damage: str, *, packed: bool
) -> None:
    pack = gzip.compress if packed else bytes
    lake.land({key(3, "whole"): pack(event("a", {"amount": 1.5})), key(4, "bad"): pack(event("b", {"amount": 100.25}))})
    lake.build()
    (path,) = (lake.root / "landing").rglob("main_stream/2026/3/1/4/bad")
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(whole[:-1] if damage == "cut" else whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    with pytest.raises(LandedFileError, match="bad"):
        lake.close(DAY)
    assert lake.files.of_day(DAY)
    assert not any("2026-03-01-p" in path.name for path in (lake.root / "lake" / "events").rglob("*.parquet"))
    # its hours keep the right rows
    assert sorted(row["event_id"] for row in lake.rows()) == ["a", "b"]


def test_hours_of_an_earlier_version_are_parsed(lake: LakeUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    lake.land(files(range(3, 4)))
    lake.build()
    with lake.ledger.transaction() as connection:
        counts = dict(connection.execute(select(builds.c.counts)).scalar_one())
        del counts["exact"]
        connection.execute(update(builds).values(counts=counts))
    assert close(lake, caplog) == 0


def test_parts_are_not_read_for_a_few_of_their_files(lake: LakeUnderTest) -> None:
    lake.land({key(3, f"{number:02d}"): event(f"e-{number}", payload(1)) for number in range(9)})
    lake.build()
    records = lake.files.of_day(DAY)
    _, verdicts = JudgedInputs(lake.settings, lake.ledger).of(records)
    small = replace(lake.settings, part_bytes=records[0].plain_size)
    contracts = ContractStore(lake.ledger, small)
    found = find_same(small, lake.ledger, contracts, records, verdicts)
    same = {part: record.counts["exact"] for part, record in found.items()}
    rows = HourRows(small, lake.ledger, contracts, records, same, ["pix/pix_in-1"])
    assert rows.of(records[:2]) is None
    assert rows.of(records[:3]) is not None


def test_the_size_of_values_does_not_depend_on_bitmaps() -> None:
    kind = pa.list_(pa.struct([("a", pa.string()), ("b", pa.decimal128(38, 18))]))
    values = pa.array([[{"a": "xy", "b": Decimal(1)}], None, [], [None, {"a": None, "b": None}]], kind)
    # four lists, three structs with a text and 16 bytes each, and the bytes of the text
    assert content_bytes(values) == 4 * 4 + 3 * (4 + 16) + 2
    bitmap = pa.py_buffer(b"\xff")
    with_bitmap = pa.Array.from_buffers(pa.int64(), 3, [bitmap, pa.py_buffer(bytes(24))])
    without = pa.Array.from_buffers(pa.int64(), 3, [None, pa.py_buffer(bytes(24))])
    assert content_bytes(with_bitmap) == content_bytes(without) == 24
    assert content_bytes(pa.chunked_array([values, values.slice(1)])) == 78 + 52
