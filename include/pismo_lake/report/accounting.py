"""Compare Pismo's daily accounting report with the lake: entries and amounts by entry type.

Source: Accounting events report files. The report is a Parquet file with one row for each entry and `Amount` as a
double, rounded to hundredths. Events have more decimals, so each is rounded before it is added. Pismo writes reports
only on request, once a day, in a folder of their target date.
"""

from __future__ import annotations

import io
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from pismo_lake import storage
from pismo_lake.errors import LakeError
from pismo_lake.index.keys import organisation_key
from pismo_lake.report.model import AccountingLine
from pismo_lake.storage.encryption import open_parquet
from pismo_lake.storage.errors import sound

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pismo_lake.storage.encryption import LakeKey

ROOT = "reports/accounting_events/type=daily"
_CENT = Decimal("0.01")
_REPORTED = ["Org_ID", "EntryType_ID", "Amount"]
_IN_LAKE = ["org_id", "data__entry_type_id", "data__amount"]


@dataclass(slots=True)
class _Sum:
    entries: int = 0
    amount: Decimal = Decimal("0.00")

    def add(self, amount: Decimal | None) -> None:
        self.entries += 1
        self.amount += amount or 0


def report_prefixes(publish_date: str) -> tuple[str, ...]:
    """Return the possible folders of a date's report: unpadded (Pismo's example) and padded."""
    day = date.fromisoformat(publish_date)
    return tuple(
        dict.fromkeys(
            (
                f"{ROOT}/year={day.year}/month={day.month}/day={day.day}/",
                f"{ROOT}/year={day:%Y/month=%m/day=%d}/",
            )
        )
    )


def compare(
    lake: str,
    publish_date: str,
    reports: Sequence[bytes],
    organisation: str,
    key: LakeKey | None = None,
    kept: Collection[str] = (),
) -> tuple[AccountingLine, ...]:
    """Return one line for each entry type, with zeros for a side that lacks it.

    `reports` are the day's Parquet files. The lake's side are the `accounting/entry_creation` rows of the event date.
    A row without a usable amount (its value is in `_rescued`) counts as an entry of zero, so that it shows as a
    difference. `kept` are paths below the lake that are no rows of it any more: only older snapshots of tables name
    them.

    Raises:
        LakeError: a file lacks the documented columns.
    """
    reported: dict[str, _Sum] = defaultdict(_Sum)
    found: dict[str, _Sum] = defaultdict(_Sum)
    for number, report in enumerate(reports):
        for entry_type, amount in _rows(
            io.BytesIO(report), None, _REPORTED, organisation, f"accounting report {number + 1}"
        ):
            reported[entry_type].add(amount)
    left_out = {storage.join(lake, path) for path in kept}
    for uri in _lake_files(lake, publish_date):
        if uri in left_out:
            continue
        with storage.open_for_reading(uri) as file:
            for entry_type, amount in _rows(file, key, _IN_LAKE, organisation, uri):
                found[entry_type].add(amount)
    return tuple(
        AccountingLine(
            name, reported[name].entries, found[name].entries, str(reported[name].amount), str(found[name].amount)
        )
        for name in sorted(reported.keys() | found.keys())
    )


def _lake_files(lake: str, publish_date: str) -> Iterator[str]:
    root = storage.join(lake, "events/domain=accounting")
    for uri in storage.list_files(root):
        folder = uri.rsplit("/", 1)[0]
        if "/event_type=entry_creation" in folder and folder.endswith(f"/event_date={publish_date}"):
            yield uri


def _rows(
    file: Any, key: LakeKey | None, columns: list[str], organisation: str, name: str
) -> Iterator[tuple[str, Decimal | None]]:
    """Yield (entry type, amount in hundredths) of an organisation's rows."""
    with sound(name, "is not a Parquet file"):
        parquet = open_parquet(file, key)
        present = set(parquet.schema_arrow.names)
        # the lake's file lacks a column if no event in it has a value
        required = columns if columns is _REPORTED else columns[:1]
        missing = [column for column in required if column not in present]
        if missing:
            msg = f"{name}: no column {', '.join(missing)}"
            raise LakeError(msg)
        table = parquet.read([column for column in columns if column in present], use_threads=False)
    taken = [table.column(column).to_pylist() if column in present else [None] * table.num_rows for column in columns]
    for org, entry_type, amount in zip(*taken, strict=True):
        if organisation_key(org) == organisation_key(organisation):
            yield ("none" if entry_type is None else str(entry_type)), _hundredths(amount)


def _hundredths(amount: Any) -> Decimal | None:
    """Round half up; read a double by its shortest digits, never by its binary value."""
    if amount is None:
        return None
    exact = amount if isinstance(amount, Decimal) else Decimal(repr(amount))
    return exact.quantize(_CENT, ROUND_HALF_UP)
