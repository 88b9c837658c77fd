"""Write the day report into the lake: JSON and Parquet for programs, HTML for people."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pismo_lake import storage
from pismo_lake.paths import reports_path, safe_segment
from pismo_lake.report.render import page
from pismo_lake.rows.schema import REPORT_FLAGS, REPORT_TOTALS, REPORTS_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.ledger import Ledger
    from pismo_lake.report.model import DayReport
    from pismo_lake.settings.lake import LakeSettings

_OF_HOUR = ("files", "bytes", "events", "rows", "duplicates", "conflicts", "rejects")
_OF_TYPE = ("events", "rows", "duplicates", "conflicts")


def publish_report(settings: LakeSettings, ledger: Ledger, report: DayReport) -> tuple[str, ...]:
    """Write the files of a report, and commit them to the lake's tables if it has them; return all URIs."""
    written = write_report(settings.lake, report)
    if settings.tables is not None:
        from pismo_lake.catalog.lake import commit_reports

        commit_reports(settings, ledger, written)
    return written


def write_report(lake: str, report: DayReport) -> tuple[str, ...]:
    """Write those of the report's three files that changed; return all URIs, the page's last."""
    folder = storage.join(lake, reports_path(report.publish_date))
    name = safe_segment(report.delivery)
    contents: dict[str, bytes] = {
        f"{name}.json": orjson.dumps(report.to_json(), option=orjson.OPT_INDENT_2),
        f"{name}.parquet": _parquet(report),
        f"{name}.html": page(report).encode("utf-8", "surrogatepass"),
    }
    for file, content in contents.items():
        uri = storage.join(folder, file)
        try:
            unchanged = storage.read_bytes(uri) == content
        except FileNotFoundError:
            unchanged = False
        if not unchanged:
            storage.write_atomic(uri, content)
    return tuple(storage.join(folder, file) for file in contents)


def _parquet(report: DayReport) -> bytes:
    columns = zip(*((report.delivery, *row) for row in _rows(report)), strict=True)
    table = pa.table(
        [pa.array(values, item.type) for values, item in zip(columns, REPORTS_SCHEMA, strict=True)], REPORTS_SCHEMA
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _rows(report: DayReport) -> Iterator[tuple[str, str, str, int]]:
    """Yield (section, name, metric, value): one number a row.

    So the reports of many days form one long table.
    """
    for metric in (*REPORT_TOTALS, *REPORT_FLAGS):
        yield "day", "", metric, int(getattr(report, metric))
    yield "verdict", report.verdict.value, "days", 1
    for hour in report.hours:
        yield from (("hour", hour.publish_hour, metric, getattr(hour, metric)) for metric in _OF_HOUR)
    for of_type in report.types:
        yield from (("event_type", of_type.name, metric, getattr(of_type, metric)) for metric in _OF_TYPE)
    for label, count in report.lateness:
        yield "lateness", label, "events", count
    for reason, count in report.reject_reasons:
        yield "rejects", reason, "rejects", count
    for total in report.totals:
        yield "control_total", total.what, "left", total.left
        yield "control_total", total.what, "right", total.right
    for silent in report.silent_hours:
        yield "silent_hour", silent.publish_hour, silent.verdict, 1
    for item in report.open_files:
        yield "open_file", item.key, item.state, 1
    for stray in report.stray_files:
        yield "stray_file", stray.path, stray.state, 1
    for line in report.accounting or ():
        yield "accounting", line.entry_type_id, "reported_entries", line.reported_entries
        yield "accounting", line.entry_type_id, "lake_entries", line.lake_entries
