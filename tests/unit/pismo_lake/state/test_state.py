"""What pages say about a delivery agrees with the day reports, and takes bounded work."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event as sql_event
from tests.lakes import SERVER, LakeUnderTest, at, event, key

from pismo_lake import state
from pismo_lake.hours import PublishDay, PublishHour
from pismo_lake.report.preview import preview
from pismo_lake.report.reconcile import reconcile
from pismo_lake.report.status import lake_status
from pismo_lake.report.write import write_report

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 3, 5, 9, 30, tzinfo=UTC)
SECRET = "a-secret-of-a-payload"


def put(lake: LakeUnderTest, day: int, hour: int = 12, name: str = "a", **body: Any) -> None:
    raw = event(f"e-{day}-{hour}-{name}", body or {"account_id": 7}, timestamp=at(hour, day))
    lake.put(raw, key=key(hour, name, day))


def close(lake: LakeUnderTest, day: int) -> None:
    date = PublishDay.parse(f"2026-03-{day:02}")
    lake.close(str(date))
    write_report(lake.settings.lake, reconcile(lake.settings, lake.ledger, date, listed="listed"))


def view(lake: LakeUnderTest, day: int) -> state.DayView:
    return state.view_day(lake.settings, lake.ledger, PublishDay.parse(f"2026-03-{day:02}"), NOW)


@pytest.fixture
def month(lake: LakeUnderTest) -> LakeUnderTest:
    for day in (1, 3, 4, 5):
        put(lake, day)
    for day in (1, 4):
        close(lake, day)
    return lake


def test_the_calendar_is_that_of_the_status(month: LakeUnderTest) -> None:
    found = state.overview_of(month.settings, month.ledger, NOW, days=7)
    (status,) = lake_status(month.settings, month.ledger, NOW)
    assert found.days == status.days
    assert (found.newest_hour, found.lag) == ("2026-03-05T12", timedelta(hours=-2, minutes=-30))
    assert found.last_close is not None
    assert (found.last_close.day, found.first_day) == ("2026-03-04", "2026-03-01")
    assert found.last_verdict is not None
    assert found.last_verdict.verdict == "complete"


def test_a_closed_day_without_a_report_is_not_reconciled_for_a_page(month: LakeUnderTest) -> None:
    month.close("2026-03-03")
    found = state.overview_of(month.settings, month.ledger, NOW, days=4)
    assert [day.verdict for day in found.days] == ["open", "complete", "closed, not reported", "no files"]
    assert view(month, 3).verdict == "closed, not reported"


def test_files_wait_until_they_are_in_the_lake(month: LakeUnderTest) -> None:
    raw = event("late", timestamp=at(13, 4))
    month.land_raw({key(13, "late", 4): raw, key(14, "short", 4): b"{}"}, sizes={key(14, "short", 4): 99})
    found = state.overview_of(month.settings, month.ledger, NOW)
    assert (found.waiting.files, found.waiting.bytes, found.waiting.not_landed) == (1, len(raw), 1)
    shown = view(month, 4)
    assert shown.verdict == "incomplete"
    assert sorted(file.state for file in shown.report.open_files) == ["landed, not indexed", "listed, not landed"]


def test_a_closed_day_shows_its_written_report(month: LakeUnderTest) -> None:
    shown = view(month, 4)
    assert (shown.reported, shown.stale, shown.verdict) == (True, False, "complete")
    assert shown.report == reconcile(month.settings, month.ledger, PublishDay.parse("2026-03-04"), listed="listed")
    assert (shown.previous, shown.following) == ("2026-03-03", "2026-03-05")
    assert view(month, 5).following is None


def test_a_report_of_other_files_is_stale(month: LakeUnderTest) -> None:
    put(month, 4, hour=13, name="late")
    shown = view(month, 4)
    assert (shown.reported, shown.stale, shown.verdict) == (False, True, "open")
    assert shown.report.files == 2
    assert [file.key for file in shown.late] == [key(13, "late", 4), key(12, "a", 4)]


def test_the_preview_counts_as_the_report_does(month: LakeUnderTest) -> None:
    """It lacks only the figures for which indexes or files of the lake must be read."""
    put(month, 3, hour=13, name="b")
    month.put(event("e-3-13-b", timestamp=at(13, 3)) + b"}{", key=key(14, "c", 3))
    day = PublishDay.parse("2026-03-03")
    until = PublishHour.of_moment(NOW)
    for _ in range(2):
        real = reconcile(month.settings, month.ledger, day, until=until, listed="the ledger, at this moment")
        quick = preview(month.settings, month.ledger, day, until)
        unread = {
            "lateness": (), "reject_reasons": (), "lake_bytes": 0, "lake_files": quick.lake_files, "heartbeats": 0,
            "totals": quick.totals,
        }  # fmt: skip
        assert replace(real, **unread, timings=quick.timings) == quick
        assert set(quick.totals) <= set(real.totals)
        assert quick.rejects == 1
        month.close(str(day))


def test_a_report_survives_its_json(month: LakeUnderTest) -> None:
    report = reconcile(month.settings, month.ledger, PublishDay.parse("2026-03-04"))
    assert type(report).from_json(report.to_json()) == report


def test_files_are_found_by_key_hour_and_state(month: LakeUnderTest) -> None:
    def names(**wanted: Any) -> list[str]:
        return [file.name for file in state.list_files(month.settings, month.ledger, NOW, **wanted).files]

    assert names() == [key(12, "a", day) for day in (5, 4, 3, 1)]
    assert names(hour="2026-03-03") == names(hour="2026-03-03T12") == [key(12, "a", 3)]
    assert names(text=key(12, "a", 4)) == names(text="/4/12/") == [key(12, "a", 4)]
    # the signs of a pattern are letters like others
    assert names(text="%") == []
    assert names(state="unbuilt") == names(state="problem") == []
    month.files.mark_unbuilt("2026-03-03T12")
    assert names(state="unbuilt") == [key(12, "a", 3)]
    with pytest.raises(ValueError, match="YYYY-MM-DD"):
        names(hour="yesterday")


def test_pages_of_files_have_each_file_once(month: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pismo_lake.state.files.PAGE", 3)
    for name in "bcd":
        put(month, 4, name=name)
    seen, before = [], None
    while True:
        page = state.list_files(month.settings, month.ledger, NOW, before=before)
        seen += [file.name for file in page.files]
        before = page.more
        if before is None:
            break
    assert seen == [key(12, "a", 5), *(key(12, name, 4) for name in "dcba"), key(12, "a", 3), key(12, "a", 1)]


def test_an_event_is_found_within_its_days_and_delivery(month: LakeUnderTest) -> None:
    def found(event_id: str, first: int, last: int) -> list[str]:
        days = (f"2026-03-{first:02}", f"2026-03-{last:02}")
        return [place.state for place in state.find_copies(month.settings, month.ledger, event_id, *days).places]

    month.put(event("e-4-12-a", timestamp=at(12, 4)), key=key(12, "again", 5))
    assert found("e-4-12-a", 1, 5) == ["in the lake", "duplicate"]
    assert found("e-4-12-a", 4, 4) == ["in the lake"]
    assert found("e-4-12-a", 1, 3) == []
    other = replace(month.settings, delivery="other")
    assert state.find_copies(other, month.ledger, "e-4-12-a", "2026-03-01", "2026-03-05").places == ()
    with pytest.raises(ValueError, match="1 to 31 days"):
        found("x", 5, 4)


def test_a_search_says_how_many_files_it_has_left_out(month: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pismo_lake.state.events.MOST_INDEXES", 1)
    search = state.find_copies(month.settings, month.ledger, "e-3-12-a", "2026-03-03", "2026-03-05")
    # 3 and 5 March are open, and only the newest file is searched
    assert (search.places, search.skipped) == ((), 1)


def test_event_types_have_columns_with_dates(month: LakeUnderTest) -> None:
    put(month, 5, hour=13, name="wider", account_id=7, note=SECRET)
    (line,) = state.list_types(month.settings, month.ledger)
    assert (line.name, line.columns, line.origin, line.version) == ("pix/pix_in-1", 2, "inferred", 2)
    found = state.view_type(month.settings, month.ledger, "pix/pix_in-1")
    assert found is not None
    assert [(dated.column.name, bool(dated.since)) for dated in found.columns] == [
        ("data__account_id", True), ("data__note", True),
    ]  # fmt: skip
    assert (found.changes[0].path, found.changes[0].file) == ("/data/note", key(13, "wider", 5))
    assert SECRET not in str(found)
    assert state.view_type(month.settings, month.ledger, "pix/nothing") is None
    assert state.view_type(month.settings, month.ledger, "nothing") is None


@pytest.fixture
def statements(month: LakeUnderTest) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        seen.append(arguments[2])

    sql_event.listen(month.ledger.engine, "before_cursor_execute", note)
    yield seen
    sql_event.remove(month.ledger.engine, "before_cursor_execute", note)


def test_the_work_for_a_page_does_not_grow_with_the_number_of_files(
    month: LakeUnderTest, statements: list[str]
) -> None:
    def asked() -> int:
        statements.clear()
        state.overview_of(month.settings, month.ledger, NOW)
        view(month, 5)
        state.list_files(month.settings, month.ledger, NOW)
        return len(statements)

    before = asked()
    for name in "bcdefgh":
        put(month, 5, name=name)
    assert asked() == before


@pytest.mark.skipif(SERVER is not None, reason="only SQLite has one writer at a time")
def test_a_page_does_not_wait_for_a_writer(month: LakeUnderTest) -> None:
    reading = month.ledger.for_reading()
    with month.ledger.transaction():
        assert state.overview_of(month.settings, reading, NOW).newest_hour == "2026-03-05T12"


@pytest.mark.skipif(SERVER is not None, reason="the plan of SQLite")
def test_the_calendar_sums_files_without_sorting_them(month: LakeUnderTest) -> None:
    plans: list[str] = []

    def explain(connection: Any, _: Any, statement: str, parameters: Any, *__: Any) -> None:
        if "sum(pismo_files.events)" in statement:
            found = connection.connection.driver_connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append(" ".join(row[-1] for row in found))

    sql_event.listen(month.ledger.engine, "before_cursor_execute", explain)
    try:
        state.overview_of(month.settings, month.ledger, NOW)
    finally:
        sql_event.remove(month.ledger.engine, "before_cursor_execute", explain)
    assert ["TEMP B-TREE" in plan for plan in plans] == [False]
