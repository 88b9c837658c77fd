"""The day report has a page and files, judges hours without files, and reconciles the day."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests import lakes
from tests.lakes import LakeUnderTest, event

from pismo_lake import storage
from pismo_lake.check import outputs
from pismo_lake.errors import FileMissing, LakeError, SourceUnavailable
from pismo_lake.hours import PublishDay, PublishHour
from pismo_lake.landing.land import land_files
from pismo_lake.landing.remote_file import RemoteFile
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.ledger.days import DayLedger
from pismo_lake.report.cadence import silent_hours
from pismo_lake.report.model import AccountingLine, ControlTotal, DayReport, DayVerdict, DriftLine, OpenFile
from pismo_lake.report.reconcile import reconcile
from pismo_lake.report.render import page
from pismo_lake.report.write import write_report

DAY = PublishDay.parse("2026-03-20")
EMPTY = DayReport(
    delivery="d", organisation="TN-1", environment="sandbox", publish_date="2026-03-20", closed=True, listed="listed",
    files=0, bytes=0, plain_bytes=0, events=0, rows=0, duplicates=0, conflicts=0, rejects=0, heartbeats=0,
)  # fmt: skip
HEADINGS = (
    "Files and events by publish hour", "Lateness of events", "Events by type", "Rejects by reason",
    "Duplicates and rejects by publish hour", "Control totals", "Files that are missing from the lake or wrong in it",
    "Files of the lake that differ from the ledger", "Publish hours without files", "Contract drift",
    "Pismo's accounting report", "Publish hours",
    "Timings",
)  # fmt: skip


key, at = partial(lakes.key, day=20), partial(lakes.at, day=20)


def looked_at(lake: LakeUnderTest, **options: Any) -> DayReport:
    return reconcile(lake.settings, lake.ledger, DAY, **options)


def counts(hours: dict[int, list[int]]) -> dict[str, int]:
    """{day of March: hours with files} as the ledger counts them."""
    return {f"2026-03-{day:02d}T{hour:02d}": 12 for day, of_day in hours.items() for hour in of_day}


def verdicts(files: dict[str, int], beats: dict[str, int] | None = None) -> dict[int, str]:
    return {int(item.publish_hour[-2:]): item.verdict for item in silent_hours(DAY, files, beats or {})}


def test_an_hour_that_usually_has_files_is_a_gap() -> None:
    usual = {day: list(range(24)) for day in range(10, 20)}
    assert verdicts(counts(usual | {20: [hour for hour in range(24) if hour != 7]})) == {7: "gap"}


def test_an_hour_that_never_has_files_is_no_traffic() -> None:
    usual = {day: list(range(6, 24)) for day in range(10, 20)}
    assert verdicts(counts(usual | {20: list(range(6, 24))})) == dict.fromkeys(range(6), "no traffic")


def test_an_hour_between_busy_ones_is_suspect_without_a_clear_record() -> None:
    usual = {day: list(range(24)) if day % 2 else [h for h in range(24) if h != 7] for day in range(10, 20)}
    assert verdicts(counts(usual | {20: [hour for hour in range(24) if hour != 7]})) == {7: "suspect"}


def test_the_day_before_counts_though_it_ended_early() -> None:
    usual = {day: [0] for day in range(17, 20)}
    assert verdicts(counts(usual)) == {0: "gap"} | dict.fromkeys(range(1, 24), "no traffic")


@pytest.mark.parametrize("days", [1, 5, 9])
def test_a_feed_that_has_gone_silent_does_not_become_used_to_it(days: int) -> None:
    usual = {day: list(range(6, 24)) for day in range(5, 20 - days)}
    found = verdicts(counts(usual))
    assert found == dict.fromkeys(range(6), "no traffic") | dict.fromkeys(range(6, 24), "gap")


def test_a_long_silence_is_measured_against_what_was_before(lake: LakeUnderTest) -> None:
    hours = [key(hour).replace("2026/3/20", f"2026/1/{day}") for day in (10, 11, 12) for hour in range(24)]
    lake.land({name: event(name) for name in hours})
    report = looked_at(lake)
    assert [item.verdict for item in report.silent_hours] == ["gap"] * 24
    assert "24 publish hour(s) without files" in report.reasons[-1]


def test_one_day_is_no_record_but_enough_for_a_suspicion() -> None:
    assert verdicts(counts({19: list(range(24)), 20: list(range(20))})) == dict.fromkeys(range(20, 24), "suspect")


def test_steady_health_checks_make_a_silent_hour_a_gap() -> None:
    busy = [hour for hour in range(24) if hour not in {7, 8, 9}]
    beats = {f"2026-03-20T{hour:02d}": 12 for hour in busy}
    assert verdicts(counts({20: busy})) == {7: "no traffic", 8: "no traffic", 9: "no traffic"}
    assert verdicts(counts({20: busy}), beats) == {7: "gap", 8: "gap", 9: "gap"}


def test_a_delivery_that_begins_was_silent_for_no_fault() -> None:
    found = silent_hours(DAY, counts({20: [5, 6]}), {}, PublishHour.parse("2026-03-20T07"))
    assert [(item.publish_hour[-2:], item.verdict) for item in found] == [(f"0{h}", "no traffic") for h in range(5)]


def test_a_clean_closed_day_is_complete_but_for_its_silent_hours(lake: LakeUnderTest) -> None:
    lake.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in range(24)})
    lake.close(str(DAY))
    report = looked_at(lake)
    assert report.complete, report.reasons
    assert (report.files, report.events, report.rows, report.lake_files) == (24, 24, 24, 1)
    assert dict(report.lateness)["in its hour"] == 24
    assert all(total.left == total.right for total in report.totals)
    assert [hour.rows for hour in report.hours] == [1] * 24


def test_a_day_that_is_not_closed_says_so(lake: LakeUnderTest) -> None:
    lake.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in range(24)})
    assert "the day is not closed yet" in looked_at(lake).reasons
    assert {item.state for item in looked_at(lake).open_files} == {"landed, not built"}
    lake.build()
    report = looked_at(lake)
    assert report.balanced
    assert report.reasons == ("the day is not closed yet",)


def test_every_kind_of_trouble_is_counted(lake: LakeUnderTest) -> None:
    good, other = event("e-1", timestamp=at(1)), event("e-1", {"account_id": 8}, timestamp=at(1))
    late, untimed = event("e-2", timestamp=at(1, day=18)), event("e-3", timestamp=...)
    beat = event("e-4", domain="dataplatform", event_type="health_check-1", timestamp=at(2))
    lake.land({key(1): good + good + other, key(2): late + untimed + beat + b'{"cut', key(3): b"PK\x03\x04zip"})
    lake.close(str(DAY))
    report = looked_at(lake)
    assert report.balanced, report.totals
    assert (report.events, report.rows, report.duplicates, report.conflicts, report.rejects) == (6, 4, 2, 1, 3)
    assert dict(report.reject_reasons) == {"conflicting_duplicate": 1, "truncated": 1, "unsupported_framing": 1}
    assert (dict(report.lateness)["up to 3 days"], dict(report.lateness)["no time"], report.heartbeats) == (1, 1, 1)
    assert [(item.key, item.state) for item in report.open_files] == [(key(3), "unreadable")]
    assert {line.event_type for line in report.drift} == {"pix/pix_in-1", "dataplatform/health_check-1"}


def test_files_that_were_seen_and_never_landed_are_named(lake: LakeUnderTest) -> None:
    def refuse(file: RemoteFile) -> Any:
        raise SourceUnavailable(f"{file.key}: throttled, try again", key=file.key)

    for seen_by, name in (("announced", "a"), ("listed", "b")):
        landing = land_files(lake.settings, lake.ledger, [RemoteFile(key(4, name), 5)], refuse, seen_by=seen_by)
        assert landing.failures.keys() == {key(4, name)}
    found = looked_at(lake).open_files
    assert [(item.key, item.state) for item in found] == [
        (key(4, "a"), "announced, not landed"), (key(4, "b"), "listed, not landed"),
    ]  # fmt: skip
    assert "throttled" in found[0].problem
    lake.land({key(4, "a"): event("e-1", timestamp=at(4)), key(4, "b"): event("e-2", timestamp=at(4))})
    lake.build()
    assert looked_at(lake).open_files == ()


def test_a_key_that_was_only_asked_for_and_is_not_there_is_forgotten(lake: LakeUnderTest) -> None:
    def refuse(file: RemoteFile) -> Any:
        raise FileMissing(f"{file.key}: no such object", key=file.key)

    for seen_by, name in (("asked for", "typo"), ("announced", "a")):
        landing = land_files(lake.settings, lake.ledger, [RemoteFile(key(4, name), None)], refuse, seen_by=seen_by)
        assert landing.failures.keys() == {key(4, name)}
    # asking for one that was announced does not make its absence a matter of spelling
    landing = land_files(lake.settings, lake.ledger, [RemoteFile(key(4, "a"), None)], refuse, seen_by="asked for")
    assert landing.failures.keys() == {key(4, "a")}
    assert [(item.key, item.state) for item in looked_at(lake).open_files] == [(key(4, "a"), "announced, not landed")]


def test_a_lake_file_that_is_gone_shows_in_the_totals_and_a_damaged_one_is_named(lake: LakeUnderTest) -> None:
    lake.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in (1, 2)})
    lake.close(str(DAY))
    (path,) = (lake.root / "lake" / "events").rglob("*.parquet")
    whole = path.read_bytes()
    length = int.from_bytes(whole[-8:-4], "little")
    for damaged in (whole[:50], whole[: -8 - length] + b"\xff" * length + whole[-8:]):
        path.write_bytes(damaged)
        with pytest.raises(LakeError, match=f"{path.name} is not a Parquet file any more"):
            looked_at(lake)
    path.write_bytes(whole[:50])
    with pytest.raises(LakeError, match=f"{path.name} is not a Parquet file any more"):
        looked_at(lake)
    path.unlink()
    report = looked_at(lake)
    assert [total.what for total in report.totals if total.difference] == [
        "rows built = rows in the lake's files",
        "files that builds wrote = files in the lake with the same bytes",
    ]
    assert not report.complete


def test_a_damaged_index_is_named(lake: LakeUnderTest) -> None:
    lake.land({key(1): event("e-1", timestamp=at(1))})
    (index,) = (lake.root / "landing").rglob("_index/**/*.parquet")
    index.write_bytes(b"junk!")
    report = looked_at(lake)
    (file,) = report.open_files
    assert (file.key, file.state) == (key(1), "landed, not indexed")
    assert f"{index} is damaged: remove it" in file.problem
    assert not report.complete
    with pytest.raises(LakeError, match="ask for its object key again"):
        lake.build()
    # follow the advice: make it again from the raw file
    index.unlink()
    lake.land({key(1): event("e-1", timestamp=at(1))})
    lake.build()
    assert [row["event_id"] for row in lake.rows()] == ["e-1"]


def test_a_day_that_is_not_over_is_not_complete(lake: LakeUnderTest) -> None:
    hours = DAY.hours
    assert reconcile(lake.settings, lake.ledger, DAY, until=hours[-1]).reasons == ("the day is not over yet",)
    over = reconcile(lake.settings, lake.ledger, DAY, until=hours[-1].plus(1))
    assert (over.reasons, over.verdict) == ((), DayVerdict.NO_FILES)


def test_an_empty_day_is_not_complete_and_a_delivery_without_any_file_says_so(lake: LakeUnderTest) -> None:
    report = looked_at(lake)
    assert (report.verdict, report.complete, report.ever) == (DayVerdict.NO_FILES, False, False)
    assert str(report) == f"{DAY} has no files: the delivery has never had one"
    lake.land_raw({key(3, day=1): event("e-1")})
    report = looked_at(lake)
    assert (report.verdict, report.ever) == (DayVerdict.NO_FILES, True)
    assert str(report) == f"{DAY} has no files, and no sign that any are missing"
    lake.land({key(3): event("e-2", timestamp=at(3))})
    lake.close(str(DAY))
    assert str(looked_at(lake)) == f"{DAY} is complete"


@pytest.mark.parametrize("verdict", list(DayVerdict))
def test_every_form_of_a_report_says_the_same_verdict(lake: LakeUnderTest, verdict: DayVerdict) -> None:
    if verdict is not DayVerdict.NO_FILES:
        lake.land({key(3): event("e-1", timestamp=at(3))})
        lake.close(str(DAY))
    if verdict is DayVerdict.INCOMPLETE:
        lake.land_raw({f"{key(3)}/in/a/sub/folder": b"{}"})
    report = looked_at(lake)
    assert report.verdict is verdict
    json_place, table_place, page_place = write_report(lake.settings.lake, report)
    values = json.loads(Path(json_place).read_text())
    assert (values["verdict"], values["complete"]) == (verdict.value, verdict is DayVerdict.COMPLETE)
    lines = pq.read_table(table_place).to_pylist()
    rows = {(row["section"], row["name"], row["metric"]): row["value"] for row in lines}
    assert [name for section, name, _ in rows if section == "verdict"] == [verdict.value]
    assert rows["day", "", "complete"] == (verdict is DayVerdict.COMPLETE)
    text = Path(page_place).read_text()
    said = {"complete": ">Complete:", "incomplete": ">Incomplete<", "no files": ">No files:"}
    assert [name for name, words in said.items() if words in text] == [verdict.value]


def test_a_key_in_a_sub_folder_belongs_to_the_day_of_its_hour(lake: LakeUnderTest) -> None:
    lost = f"{key(3)}/in/a/sub/folder"
    lake.land_raw({lost: b"{}"})
    (only,) = looked_at(lake).open_files
    assert (only.key, only.publish_hour, only.state) == (lost, "2026-03-20T03", "listed, not landed")
    assert "not directly in an hour folder" in only.problem
    reason = f"1 file(s) are missing from the lake or wrong in it: {lost} (listed, not landed)"
    assert str(looked_at(lake)) == f"{DAY} is incomplete: {reason}"


def test_a_lost_index_and_a_lost_row_do_not_pass(lake: LakeUnderTest) -> None:
    lake.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in (1, 2)})
    lake.close(str(DAY))
    (path,) = (lake.root / "lake" / "events").rglob("*.parquet")
    pq.write_table(pq.ParquetFile(path).read().slice(1), path)
    assert [total.what for total in looked_at(lake).totals if total.difference] == [
        "rows built = rows in the lake's files",
        "files that builds wrote = files in the lake with the same bytes",
    ]
    storage.remove(str(lake.lake_files.every()[0].index_uri))
    report = looked_at(lake)
    assert [item.state for item in report.open_files] == ["landed, not indexed"]
    assert not report.balanced


def test_landing_delay_is_measured_where_the_source_says_when(lake: LakeUnderTest) -> None:
    def fetch(file: RemoteFile) -> Any:
        from contextlib import nullcontext

        return nullcontext(iter([event("e-1", timestamp=at(1))]))

    land_files(
        lake.settings, lake.ledger, [RemoteFile(key(1), None, None, datetime(2026, 3, 20, 1, tzinfo=UTC))], fetch
    )
    lake.index()
    assert looked_at(lake).timings.landed_after_max_seconds > 0  # type: ignore[operator]


def test_writing_again_writes_nothing(lake: LakeUnderTest) -> None:
    lake.land({key(1): event("e-1", timestamp=at(1))})
    lake.close(str(DAY))
    places = write_report(lake.settings.lake, looked_at(lake))
    before = {place: (lake.root / "lake" / place).stat().st_mtime_ns for place in places}
    assert write_report(lake.settings.lake, looked_at(lake)) == places
    assert before == {place: (lake.root / "lake" / place).stat().st_mtime_ns for place in places}
    assert [place.rsplit("/", 1)[1] for place in places] == ["test.json", "test.parquet", "test.html"]
    table = pq.ParquetFile(places[1]).read().to_pylist()
    assert {"section": "day", "name": "", "metric": "rows", "value": 1, "delivery": "test"} in table
    assert json.loads((lake.root / "lake" / places[0]).read_text())["rows"] == 1


def test_the_page_has_every_section_even_where_there_is_nothing() -> None:
    text = page(EMPTY)
    for heading in HEADINGS:
        assert f"<h2>{heading}</h2>".replace("'", "&#39;") in text or f"<h2>{heading}</h2>" in text
    assert "No files, and no sign that any are missing." in text
    assert "Complete" not in text


def test_the_page_needs_nothing_from_elsewhere(lake: LakeUnderTest) -> None:
    lake.land({key(1): event("e-1", timestamp=at(1))})
    lake.close(str(DAY))
    text = page(looked_at(lake))
    assert set(re.findall(r"https?://[^\"'< ]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "<script" not in text


def test_text_from_outside_is_escaped() -> None:
    evil = '<script>alert("$x$")</script>'
    report = replace(
        EMPTY,
        types=(),
        open_files=(OpenFile(evil, "2026-03-20T01", "listed, not landed", "", evil),),
        drift=(DriftLine(evil, evil, "-", "string", evil, ""),),
        totals=(ControlTotal(evil, 1, 2),),
        accounting=(AccountingLine(evil, 1, 1, "1.00", "2.00"),),
        reject_reasons=((evil, 1),),
        lateness=((evil, 1),),
    )
    text = page(report)
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 6
    assert ">Incomplete<" in text


def test_two_processes_draw_the_same_page(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path[:0] = ['.', 'include']\n"
        "from tests.unit.pismo_lake.report.test_report import EMPTY\n"
        "from pismo_lake.report.render import page\n"
        "import hashlib; print(hashlib.sha256(page(EMPTY).encode()).hexdigest())"
    )
    done = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert done[0].stdout == done[1].stdout


def test_announced_schema_changes_and_odd_values_are_drift(lake: LakeUnderTest) -> None:
    change = {"change_type": "MODIFY", "schema_domain": "transaction", "schema_event_type": "creation",
              "schema_name": "transaction/creation-1", "schema_version": "1", "new_schema": "{}"}  # fmt: skip
    told = event("s-1", change, domain="dataplatform", event_type="json_schema_change", timestamp=at(1))
    first = event("e-1", {"a": 1}, timestamp=at(1))
    odd = event("e-2", {"a": "x"}, timestamp=at(1))
    lake.land({key(1): first + odd + told + told})
    lines = looked_at(lake).drift
    assert (lines[0].event_type, lines[0].path, lines[0].before, lines[0].after, lines[0].first_offset) == (
        "transaction/creation-1", "transaction/creation-1", "announced", "MODIFY", len(first) + len(odd),
    )  # fmt: skip
    assert [line.event_type for line in lines].count("transaction/creation-1") == 1
    (rescued,) = (line for line in lines if line.after == "rescued string")
    assert (rescued.path, rescued.before, rescued.first_offset) == ("/data/a", "int", len(first))


def closed(lake: LakeUnderTest) -> Path:
    """Close the day with two files and return the day's file of rows."""
    lake.land({key(1): event("e-1", timestamp=at(1)), key(2): event("e-2", timestamp=at(2))})
    lake.build()
    lake.close(str(DAY))
    (path,) = (lake.root / "lake/events").rglob("*.parquet")
    return path


def strays(lake: LakeUnderTest) -> list[tuple[str, str]]:
    report = looked_at(lake)
    assert (report.verdict == DayVerdict.COMPLETE) == (not report.stray_files)
    for file in report.stray_files:
        assert f"{file.path} ({file.state})" in str(report)
        assert file.path in page(report)
    root = f"events/domain=pix/event_type=pix_in-1/event_date={DAY}/"
    return [(file.path.removeprefix(root), file.state) for file in report.stray_files]


@pytest.mark.parametrize(
    "name", [f"test-{DAY}T01-p0000-0123456789.parquet", f"other-{DAY}-p0000-0123456789.parquet", "x"]
)
def test_an_unknown_file_makes_the_day_incomplete(lake: LakeUnderTest, name: str) -> None:
    path = closed(lake)
    assert strays(lake) == []
    shutil.copy(path, path.with_name(name))
    assert strays(lake) == [(name, "unknown file")]
    # of all control totals, none counts the rows of a file that nothing owns
    assert looked_at(lake).balanced


@pytest.mark.parametrize(
    "folder", ["rejects/publish_date", "_ids/publish_date", "items/domain=x/event_type=y/event_date"]
)
def test_every_folder_of_the_day_is_covered(lake: LakeUnderTest, folder: str) -> None:
    path, place = closed(lake), lake.root / "lake" / f"{folder}={DAY}"
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, place / "stray.parquet")
    assert strays(lake) == [(f"{folder}={DAY}/stray.parquet", "unknown file")]


def test_partitions_of_other_dates_are_those_that_the_day_has_rows_in(lake: LakeUnderTest) -> None:
    path = closed(lake)
    for date in ("2026-03-18", "2026-03-19"):
        other = path.parents[1] / f"event_date={date}" / "stray.parquet"
        other.parent.mkdir()
        shutil.copy(path, other)
    assert strays(lake) == []
    lake.land({key(3): event("e-3", timestamp="2026-03-19T10:00:00Z")})
    lake.close(str(DAY))
    assert [(name.rsplit("/", 2)[-2], state) for name, state in strays(lake)] == [
        ("event_date=2026-03-19", "unknown file")
    ]


def test_a_missing_file_makes_the_day_incomplete_by_name(lake: LakeUnderTest) -> None:
    path = closed(lake)
    path.unlink()
    assert strays(lake) == [(path.name, "missing file")]
    (lake.root / "lake" / f"_ids/publish_date={DAY}" / path.name).unlink()
    assert (f"_ids/publish_date={DAY}/{path.name}", "missing file") in strays(lake)


def test_files_of_other_days_and_deliveries_are_known(lake: LakeUnderTest) -> None:
    """An event date has rows of several publish days and deliveries, each a unit of its own."""
    path = closed(lake)
    lake.land({lakes.key(1, day=21): event("e-3", timestamp=at(1))})
    lake.build()
    assert len(list(path.parent.glob("*.parquet"))) == 2
    dead = BuildLedger(lake.ledger, lake.settings.lake, "other", "2026-03-21T02")
    planned = path.with_name("other-2026-03-21T02-p0000-0123456789.parquet")
    assert dead.plan(0, dead.claim(0), [str(planned.relative_to(lake.root / "lake"))])
    shutil.copy(path, planned)
    assert strays(lake) == []


def test_a_build_that_did_not_end_makes_its_day_incomplete(lake: LakeUnderTest) -> None:
    path = closed(lake)
    stray = path.with_name(f"test-{DAY}-p0000-0123456789.parquet")
    dead = DayLedger(lake.ledger, lake.settings.lake, "test", str(DAY))
    (record,) = dead.parts()
    assert dead.plan(0, dead.claim(0), [*record.outputs, str(stray.relative_to(lake.root / "lake"))])
    assert strays(lake) == []
    shutil.copy(path, stray)
    assert strays(lake) == [(stray.name, "unfinished build")]


def test_a_file_that_a_close_replaces_meanwhile_is_no_stray(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed(lake)
    real = outputs._list_partitions

    def listed(*arguments: Any) -> Any:
        found = list(real(*arguments))
        # the listing still has the file that this close replaces
        lake.land({key(3): event("e-3", timestamp=at(3))})
        lake.close(str(DAY))
        return found

    monkeypatch.setattr(outputs, "_list_partitions", listed)
    assert outputs.stray_outputs(lake.settings.lake, lake.ledger, "test", str(DAY)) == []


def test_stray_files_are_in_the_files_of_the_report(lake: LakeUnderTest) -> None:
    path = closed(lake)
    shutil.copy(path, path.with_name("stray.parquet"))
    places = write_report(lake.settings.lake, looked_at(lake))
    table = pq.read_table(places[1], partitioning=None).to_pylist()
    name = str(path.with_name("stray.parquet").relative_to(lake.root / "lake"))
    assert {"delivery": "test", "section": "stray_file", "name": name, "metric": "unknown file", "value": 1} in table
    assert json.loads(storage.read_bytes(places[0]))["stray_files"] == [{"path": name, "state": "unknown file"}]
