"""Pismo's accounting report beside the lake: to the entry and to the cent."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.lakes import ORG, LakeUnderTest, event

from pismo_lake.errors import LakeError
from pismo_lake.report.accounting import compare, report_prefixes
from pismo_sandbox.check.truth import Truth
from pismo_sandbox.feed.accounting import publish_accounting_report
from pismo_sandbox.feed.publisher import FolderSink, Publisher

if TYPE_CHECKING:
    from pathlib import Path

DAY = "2026-03-01"


@pytest.fixture
def lake(tmp_path: Path) -> LakeUnderTest:
    return LakeUnderTest(tmp_path)


def entry(event_id: str, amount: Any, entry_type: int = 7) -> bytes:
    data = {"amount": amount, "entry_type_id": entry_type}
    return event(event_id, data, domain="accounting", event_type="entry_creation-1")


def report(*rows: tuple[int, float], org: str = ORG) -> bytes:
    sink = io.BytesIO()
    columns = {
        "Org_ID": [org] * len(rows),
        "EntryType_ID": [row[0] for row in rows],
        "Amount": [row[1] for row in rows],
    }
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def test_the_folders_of_a_date() -> None:
    assert report_prefixes(DAY) == (
        "reports/accounting_events/type=daily/year=2026/month=3/day=1/",
        "reports/accounting_events/type=daily/year=2026/month=03/day=01/",
    )


def test_each_entry_is_rounded_before_it_is_added(lake: LakeUnderTest) -> None:
    """Three amounts of 0.10 and a third of a cent are 0.30, not 0.31; 0.125 is rounded half up."""
    amounts = [Decimal("0.104"), Decimal("0.104"), Decimal("0.104"), Decimal("0.125")]
    lake.put(*(entry(f"e-{number}", amount) for number, amount in enumerate(amounts)))
    (line,) = compare(lake.settings.lake, DAY, [report((7, 0.1), (7, 0.1)), report((7, 0.1), (7, 0.13))], ORG.lower())
    assert line.agrees, line
    assert (line.lake_entries, line.lake_amount) == (4, "0.43")


def test_a_cent_or_an_entry_more_shows(lake: LakeUnderTest) -> None:
    lake.put(entry("e-1", Decimal("5.00")), entry("e-2", 3, entry_type=8))
    lines = compare(lake.settings.lake, DAY, [report((7, 5.01), (9, 1.0))], ORG)
    assert [(line.entry_type_id, line.agrees) for line in lines] == [("7", False), ("8", False), ("9", False)]


def test_entries_of_others_do_not_count(lake: LakeUnderTest) -> None:
    lake.put(entry("e-1", Decimal("5.00")))
    (line,) = compare(lake.settings.lake, DAY, [report((7, 5.0)), report((7, 9.0), org="TN-other")], ORG)
    assert line.agrees


def test_an_amount_that_was_rescued_is_an_entry_of_nothing(lake: LakeUnderTest) -> None:
    lake.put(entry("e-1", Decimal("5.00")), entry("e-2", "n/a"))
    (line,) = compare(lake.settings.lake, DAY, [report((7, 5.0))], ORG)
    assert (line.lake_entries, line.lake_amount, line.agrees) == (2, "5.00", False)


def test_a_foreign_file_is_named() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"Org_ID": ["x"]}), sink)
    with pytest.raises(LakeError, match="accounting report 2: no column EntryType_ID, Amount"):
        compare("/nowhere", DAY, [report((7, 1.0)), sink.getvalue()], ORG)
    with pytest.raises(LakeError, match="accounting report 1 is not a Parquet file"):
        compare("/nowhere", DAY, [b"PAR1 not"], ORG)


def test_the_look_alikes_report_agrees_until_a_row_is_lost(lake: LakeUnderTest, tmp_path: Path) -> None:
    source, truth = tmp_path / "source", Truth(tmp_path / "truth.db")
    start = datetime(2026, 3, 1, 5, tzinfo=UTC)
    Publisher(FolderSink(source), truth, seed=4).publish(start, start + timedelta(minutes=10), 400_000)
    keys = truth.keys()
    lake.land({name: (source / name).read_bytes() for name in keys})
    lake.build()
    name, rows = publish_accounting_report(FolderSink(source), truth, date(2026, 3, 1))
    truth.close()
    data = (source / name).read_bytes()
    organisation = pq.read_table(io.BytesIO(data)).column("Org_ID")[0].as_py()
    (line,) = compare(lake.settings.lake, DAY, [data], organisation)
    assert line.agrees
    assert line.reported_entries == rows > 20
    sink = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(data)).slice(1), sink)
    (line,) = compare(lake.settings.lake, DAY, [sink.getvalue()], organisation)
    assert not line.agrees
