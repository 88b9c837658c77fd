"""The values of a field decide its column's type, and misfits are rescued."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.lakes import HOUR, event

from pismo_lake.hours import PublishDay, PublishHour

if TYPE_CHECKING:
    from tests.lakes import LakeUnderTest


def column(lake: LakeUnderTest, name: str) -> tuple[pa.DataType, list[Any]]:
    (path,) = (lake.root / "lake").glob("events/**/*.parquet")
    table = pq.ParquetFile(path).read()
    return table.schema.field(name).type, table.column(name).to_pylist()


EXACT = [
    "0.1",
    "108.711498",
    "-99.55",
    "0.000000000000000001",
    "99999999999999999999.999999999999999999",
    "1E+3",
    "-0.0",
]


@pytest.mark.parametrize("digits", EXACT)
def test_decimals_keep_every_digit(lake: LakeUnderTest, digits: str) -> None:
    lake.put(event(data={"amount": Decimal(digits)}))
    assert lake.row()["data__amount"] == Decimal(digits)
    assert lake.row()["_rescued"] is None


@pytest.mark.parametrize(
    "digits", ["0.0000000000000000001", "100000000000000000000", "123456789012345678901.5", "1E+400"]
)
def test_numbers_beyond_the_decimal_are_rescued_not_rounded(lake: LakeUnderTest, digits: str) -> None:
    lake.put(event("a", {"amount": Decimal("1.5")}), event("b", {"amount": Decimal(digits)}))
    row = {row["event_id"]: row for row in lake.rows()}["b"]
    assert row["data__amount"] is None
    (entry,) = json.loads(row["_rescued"], parse_float=Decimal)
    assert (entry["reason"], Decimal(entry["value"])) == ("out_of_range", Decimal(digits))


@pytest.mark.parametrize("digits", ["1e99999999999999999999", "-2.50E-99999999999999999999", "0e99999999999999999999"])
def test_exponents_that_no_decimal_has_keep_their_text(lake: LakeUnderTest, digits: str) -> None:
    plain = event("b", {"amount": 1, "metadata": {"x": 1}, "lines": [1]})
    raw = plain.replace(b":1,", b":" + digits.encode() + b",").replace(b":1}", b":" + digits.encode() + b"}")
    lake.put(
        event("a", {"amount": Decimal("1.5"), "lines": [0]}), raw, raw.replace(b'"b"', b'"c"').replace(b"[1]", b"[1e1]")
    )
    rows = {row["event_id"]: row for row in lake.rows()}
    assert len(rows) == 3
    assert rows["b"]["data__amount"] is None
    assert f'"reason":"out_of_range","value":{digits}' in rows["b"]["_rescued"]
    assert rows["b"]["data__metadata"] == f'{{"x":{digits}}}'


def test_integers_stay_integers_and_widen_only_to_decimal(lake: LakeUnderTest) -> None:
    lake.put(event("a", {"count": 1}), event("b", {"count": 9_223_372_036_854_775_807}))
    assert column(lake, "data__count") == (pa.int64(), [1, 9_223_372_036_854_775_807])
    lake.put(event("c", {"count": Decimal("1.5")}), key=f"{HOUR}/b")
    kind, values = column(lake, "data__count")
    assert kind == pa.decimal128(38, 18)
    assert values == [1, 9_223_372_036_854_775_807, Decimal("1.5")]


def test_money_is_decimal_from_its_first_whole_number(lake: LakeUnderTest) -> None:
    lake.put(event("a", {"amount": 50, "account_id": 50}))
    assert column(lake, "data__amount")[0] == pa.decimal128(38, 18)
    assert column(lake, "data__account_id")[0] == pa.int64()


def test_text_keeps_its_zeros_and_dates_stay_text(lake: LakeUnderTest) -> None:
    lake.put(event("a", {"code": "007700", "at": "2026-03-01T12:00:00Z", "n": "1.50"}))
    row = lake.row()
    assert (row["data__code"], row["data__at"], row["data__n"]) == ("007700", "2026-03-01T12:00:00Z", "1.50")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (1, "x"),
        ("x", 1),
        (True, 1),
        (1, True),
        ({"b": 1}, "x"),
        ("x", {"b": 1}),
        ([1], {"b": 1}),
        ([1], ["x"]),
        (1.5, "1.5"),
    ],
)
def test_the_first_kind_stands_and_the_other_is_rescued(lake: LakeUnderTest, first: Any, second: Any) -> None:
    lake.put(event("a", {"f": first, "k": 1}), event("b", {"f": second, "k": 2}))
    rows = {row["event_id"]: row for row in lake.rows()}
    assert rows["a"]["_rescued"] is None
    assert '"path":"/data/f' in rows["b"]["_rescued"]
    assert [rows[name]["data__k"] for name in "ab"] == [1, 2]


def test_a_field_seen_late_is_a_new_column(lake: LakeUnderTest) -> None:
    lake.put(event("a", {"old": 1}))
    lake.put(event("b", {"old": 2, "new": {"deep": "x"}}), key="main_stream/2026/3/1/13/b")
    rows = {row["event_id"]: row for row in lake.rows()}
    assert rows["b"]["data__new__deep"] == "x"
    assert "data__new__deep" not in rows["a"]


def test_arrays_of_objects_are_lists_of_structs(lake: LakeUnderTest) -> None:
    amounts = [{"currency": "BRL", "value": Decimal("1.10")}, {"currency": None, "value": 2, "note": "n"}]
    lake.put(event("a", {"amount": amounts}), event("b", {"amount": []}))
    first, second = lake.rows()
    assert first["data__amount"] == [
        {"currency": "BRL", "note": None, "value": Decimal("1.10")},
        {"currency": None, "note": "n", "value": 2},
    ]
    assert second["data__amount"] == []


def test_free_form_objects_stay_json_text(lake: LakeUnderTest) -> None:
    lake.put(event(data={"metadata": {"any": [1, {"x": Decimal("1.10")}], "é": "ü"}, "n": 1}))
    assert lake.row()["data__metadata"] == '{"any":[1,{"x":1.10}],"\\u00e9":"\\u00fc"}'


def test_keys_become_names_that_lead_back(lake: LakeUnderTest) -> None:
    data = {"a.b": 1, "a__b": 2, "": 3, "Name": 4, "name": 5, "é": 6, "_x": 7, "a b": 8}
    lake.put(event(data=data))
    row = lake.row()
    names = ["data__a%2Eb", "data__a_%5Fb", "data__%", "data__Name", "data__%6Eame", "data__%C3%A9", "data__%5Fx"]
    assert [row[name] for name in names] == [1, 2, 3, 4, 5, 6, 7]
    assert row["data__a%20b"] == 8


def test_extra_envelope_keys_have_columns_too(lake: LakeUnderTest) -> None:
    lake.put(event(trace={"hop": 1}, event_timestamp="taken"))
    assert (lake.row()["envelope__trace__hop"], lake.row()["envelope__event_timestamp"]) == (1, "taken")


def test_both_spellings_of_the_event_type_are_one_partition(lake: LakeUnderTest) -> None:
    lake.put(event("a", event_type="creation-1"), event("b", event_type="creation", schema_version="1"))
    assert {row["event_type_text"] for row in lake.rows()} == {"creation-1", "creation"}
    assert len([path for path in lake.digest() if "event_type=creation-1/" in path]) == 1


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2026-03-01T12:00:00Z", 0),
        ("2026-03-01T12:00:00.5Z", 500_000),
        ("2026-03-01T12:00:00.417790545Z", 417_790),
        ("2026-03-01T09:00:00.000001-03:00", 1),
    ],
)
def test_timestamps_of_any_precision_and_offset(lake: LakeUnderTest, text: str, micros: int) -> None:
    lake.put(event(timestamp=text))
    stamp = lake.row()["event_timestamp"]
    assert (stamp.hour, stamp.minute, stamp.microsecond) == (12, 0, micros)
    assert lake.row()["event_timestamp_text"] == text


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
def test_a_time_of_a_year_that_no_date_has_is_no_time(lake: LakeUnderTest, text: str) -> None:
    lake.put(event(timestamp=text))
    assert (lake.row()["event_timestamp"], lake.row()["event_timestamp_text"]) == (None, text)


def test_the_first_year_is_written_with_four_digits(lake: LakeUnderTest) -> None:
    lake.put(event(timestamp="0001-01-01T00:00:00Z"))
    assert lake.row()["event_timestamp"].isoformat() == "0001-01-01T00:00:00+00:00"
    hour = PublishHour.of_moment(datetime(1, 1, 1, 5, tzinfo=UTC))
    assert PublishHour.parse(str(hour)) == hour
    assert PublishDay.parse(hour.date).hours[5] == hour
