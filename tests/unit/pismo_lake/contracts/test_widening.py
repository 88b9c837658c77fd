"""If int64 becomes decimal, every hour with the event type is built again with one type."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tests.lakes import LakeUnderTest, event

from pismo_lake.index.rebuild import rebuild_ledger

EARLY, LATE = "main_stream/2026/3/1/10/a", "main_stream/2026/3/1/12/a"


def types(lake: LakeUnderTest, column: str = "data__count") -> set[pa.DataType]:
    return {
        pq.read_schema(path).field(column).type
        for path in (lake.root / "lake").glob("events/**/*.parquet")
        if column in pq.read_schema(path).names
    }


def test_hours_built_before_a_widening_are_built_anew(lake: LakeUnderTest) -> None:
    lake.put(event("a", {"count": 1}), key=EARLY)
    assert types(lake) == {pa.int64()}
    lake.land({LATE: event("b", {"count": Decimal("1.5")})})
    assert lake.files.unbuilt_units() == ["2026-03-01T10", "2026-03-01T12"]
    lake.build()
    assert types(lake) == {pa.decimal128(38, 18)}
    frame = pd.read_parquet(lake.root / "lake" / "events")
    assert sorted(frame["data__count"]) == [Decimal(1), Decimal("1.5")]


def test_other_event_types_and_later_builds_are_left_alone(lake: LakeUnderTest) -> None:
    lake.put(event("x", {"count": 1}, domain="cards"), key="main_stream/2026/3/1/9/x")
    lake.put(event("a", {"count": 1}), key=EARLY)
    lake.land({LATE: event("b", {"count": Decimal("1.5")})})
    assert "2026-03-01T09" not in lake.files.unbuilt_units()
    lake.build()
    before = lake.digest()
    again = lake.build(["2026-03-01T09", "2026-03-01T10", "2026-03-01T12"])
    assert sum(summary.parts_built for summary in again.values()) == 0
    assert lake.digest() == before


def test_a_widening_inside_lists_and_under_odd_names_counts_too(lake: LakeUnderTest) -> None:
    odd = {"domain": "a/b", "event_type": "%é" * 80}
    lake.put(event("a", {"list": [{"n": 1}]}, **odd), key=EARLY)
    lake.land({LATE: event("b", {"list": [{"n": Decimal("0.5")}]}, **odd)})
    lake.build()
    (kind,) = types(lake, "data__list")
    assert kind.value_type.field("n").type == pa.decimal128(38, 18)


def test_a_widening_during_a_build_has_it_written_again(lake: LakeUnderTest) -> None:
    """The build has read its contracts and is about to record; the widening lands in between."""
    lake.land({EARLY: event("a", {"count": 1})})
    landed = []

    def checkpoint(step: str) -> None:
        if step == "record" and not landed:
            landed.append(lake.land({LATE: event("b", {"count": Decimal("1.5")})}))

    lake.build(["2026-03-01T10"], checkpoint=checkpoint)
    assert types(lake) == {pa.decimal128(38, 18)}
    assert lake.files.unbuilt_units() == ["2026-03-01T12"]


def test_a_lost_ledger_does_not_forget_a_widening(lake: LakeUnderTest) -> None:
    lake.put(event("a", {"count": 1}), key=EARLY)
    lake.put(event("b", {"count": Decimal("1.5")}), key=LATE)
    lake.build()
    before = lake.digest()
    lake.lose_ledger()
    anew = LakeUnderTest(lake.root)
    rebuild_ledger(anew.settings, anew.ledger)
    anew.build()
    assert anew.digest() == before
