"""Write Pismo's daily accounting report: Parquet, one row for each entry.

Columns and types are those of the page Accounting events report files. A report is in the folder of its target date,
unpadded.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from datetime import date

    from pismo_sandbox.check.truth import Truth
    from pismo_sandbox.feed.publisher import Sink

_DIGITS = re.compile(r"(\.\d{6})\d+")
SCHEMA = pa.schema(
    [
        ("Org_ID", pa.string()),
        ("CreatedAt", pa.string()),
        ("EventDate", pa.date32()),
        ("DebitAccount", pa.string()),
        ("CreditAccount", pa.string()),
        ("EntryType_ID", pa.int64()),
        ("Description", pa.string()),
        ("Account_ID", pa.int64()),
        ("Amount", pa.float64()),
        ("Program_ID", pa.int64()),
        ("Transaction_ID", pa.int64()),
        ("Event_ID", pa.int64()),
    ]
)


def publish_accounting_report(sink: Sink, truth: Truth, day: date) -> tuple[str, int]:
    """Write the report of the entries of a UTC date; return its key and its number of rows."""
    rows = [_row(event, day) for event in map(_event, truth.winning_texts()) if _belongs(event, day)]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    data = buffer.getvalue()
    name = hashlib.sha256(data).hexdigest()[:32]
    key = f"reports/accounting_events/type=daily/year={day.year}/month={day.month}/day={day.day}/{name}.parquet"
    sink.put(key, data)
    return key, len(rows)


def _event(text: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text, parse_float=Decimal)
    return found


def _belongs(event: dict[str, Any], day: date) -> bool:
    is_entry = event.get("domain") == "accounting" and str(event.get("event_type", "")).startswith("entry_creation")
    return is_entry and _date(str(event.get("timestamp", ""))) == day


def _date(stamp: str) -> date | None:
    """Return the UTC date of a time with up to nine fractional digits, and ``Z`` or an offset."""
    try:
        return datetime.fromisoformat(_DIGITS.sub(r"\1", stamp)).astimezone(UTC).date()
    except ValueError:
        return None


def _row(event: dict[str, Any], day: date) -> dict[str, Any]:
    data = event["data"]
    return {
        "Org_ID": event["org_id"],
        "CreatedAt": data["created_at"],
        "EventDate": day,
        "DebitAccount": data["debit_account"],
        "CreditAccount": data["credit_account"],
        "EntryType_ID": data["entry_type_id"],
        "Description": data["description"],
        "Account_ID": data["account_id"],
        "Amount": float(Decimal(data["amount"]).quantize(Decimal("0.01"), ROUND_HALF_UP)),
        "Program_ID": data["program_id"],
        "Transaction_ID": data["transaction_id"],
        "Event_ID": data["accounting_event_id"],
    }
