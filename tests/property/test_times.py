"""Every spelling of a time becomes its instant, or its text is kept in `_rescued`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lakes import LakeUnderTest, event

from pismo_lake.decode.timestamps import timestamp_us, timestamps_us

if TYPE_CHECKING:
    from pathlib import Path

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(-2_200_000_000, 7_200_000_000).map(lambda seconds: EPOCH + timedelta(seconds=seconds))
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59)


@st.composite
def spelled(draw: st.DrawFn) -> tuple[str, int]:
    """Return a time in a spelling of RFC 3339 or ISO 8601, and its microseconds since the epoch."""
    moment, minutes = draw(MOMENTS), draw(OFFSETS)
    fraction = draw(st.text("0123456789", max_size=9))
    hours_alone = minutes % 60 == 0 and draw(st.booleans())
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    zones = [f"{sign}{hours:02d}:{rest:02d}", f"{sign}{hours:02d}{rest:02d}"]
    zone = f"{sign}{hours:02d}" if hours_alone else draw(st.sampled_from(zones))
    if not minutes:
        zone = draw(st.sampled_from(["Z", "z", zone]))
    clock = f"{moment:%H:%M:%S}"
    if fraction:
        clock += draw(st.sampled_from(".,")) + fraction
    elif not moment.second:
        clock = draw(st.sampled_from([clock, clock[:5]]))
    instant = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    micros = (instant - EPOCH) // timedelta(microseconds=1) + int(fraction[:6].ljust(6, "0"))
    return f"{moment:%Y-%m-%d}{draw(st.sampled_from('Tt '))}{clock}{zone}", micros


@settings(deadline=None)
@given(st.lists(spelled(), min_size=1, max_size=5))
def test_each_spelling_is_its_instant(times: list[tuple[str, int]]) -> None:
    texts, instants = [text for text, _ in times], [micros for _, micros in times]
    assert [timestamp_us(text) for text in texts] == instants
    assert timestamps_us(pa.array(texts)).cast(pa.int64()).to_pylist() == instants


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31T23:59:60.25Z", "2017-01-01T00:00:00.25Z"),
        ("2017-01-01T08:59:60+09", "2017-01-01T00:00:00Z"),
        ("2026-03-01T12:00Z", "2026-03-01T12:00:00Z"),
        ("2026-03-01T12:00:00+00", "2026-03-01T12:00:00Z"),
        ("2026-03-01T12:00:00+0000", "2026-03-01T12:00:00Z"),
        ("2026-03-01T12:00:00+00:00", "2026-03-01T12:00:00Z"),
        ("2026-03-01T12:00:00-00:00", "2026-03-01T12:00:00Z"),
        ("2026-03-01T09:00-03", "2026-03-01T12:00:00Z"),
    ],
)
def test_rare_spellings(text: str, same: str) -> None:
    assert timestamp_us(text) == timestamp_us(same) is not None


NO_TIMES = [
    "2026-03-01T12:00:60Z", "2026-03-01T12:00:61Z", "2026-03-01T24:00:01Z", "2026-02-30T12:00:00Z", "2026-03-01",
    "2026-03-01T12:00:00", "2026-03-01T12Z", "2026-W09-7T12:00:00Z", "2026-060T12:00:00Z", "20260301T120000Z", "",
    "2026-03-01T12:00:00+24:00", "2026-03-01T12:00:00+00:60", "2026-03-01T12:00:00 Z", "yesterday", "1772366400",
    "٢٠٢٦-03-01T12:00:00Z",
]  # fmt: skip


@pytest.mark.parametrize("quick", [False, True], ids=["few", "many"])
def test_a_text_that_is_no_time_is_rescued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, quick: bool) -> None:
    """In the midst of many events, which are read together, and one by one."""
    if quick:
        monkeypatch.setattr("pismo_lake.index.fast._SMALL_FILE", 0)
        monkeypatch.setattr("pismo_lake.index.fast._FEW", 2)
    lake = LakeUnderTest(tmp_path)
    events = [event(f"good-{n}") for n in range(40)]
    events += [event(f"bad-{n}", timestamp=text) for n, text in enumerate(NO_TIMES)]
    lake.put(*events)
    rows = {row["event_id"]: row for row in lake.rows()}
    assert len(rows) == len(events)
    for n, text in enumerate(NO_TIMES):
        row = rows[f"bad-{n}"]
        assert (row["event_timestamp"], row["event_timestamp_text"]) == (None, text)
        assert json.loads(row["_rescued"]) == [{"path": "/timestamp", "reason": "not_a_time", "value": text}]
    assert all(rows[f"good-{n}"]["_rescued"] is None for n in range(40))
    assert all(rows[f"good-{n}"]["event_timestamp"] is not None for n in range(40))
