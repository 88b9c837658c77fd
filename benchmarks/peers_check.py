"""Check the output of a contender against the generator's truth."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pismo_sandbox.check.truth import Truth

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = 37
"""One event in so many is compared value for value."""


@dataclass(slots=True)
class Wrong:
    """Count lost and doubled events; of sampled values, count missing, inexact and retyped ones.

    `floats` are numbers with the right digits, in columns of doubles.
    """

    events: int = 0
    lost: int = 0
    doubled: int = 0
    values: int = 0
    missing: int = 0
    digits: int = 0
    floats: int = 0
    retyped: int = 0


def check_output(out: Path, truth_path: Path) -> Wrong:
    """All ids, and the values of a sample."""
    truth, wrong = Truth(truth_path), Wrong()
    expected, payloads = set[str](), dict[str, str]()
    for _, event_id, _, _, payload in truth.winners():
        expected.add(event_id)
        if _sample(event_id):
            payloads[event_id] = payload
    truth.close()
    seen: Counter[str] = Counter()
    for path in sorted(out.rglob("*.parquet")):
        if "domain=" in str(path) and "/items/" not in str(path):
            _check_file(path, seen, payloads, wrong)
    wrong.events = len(expected)
    wrong.lost = len(expected - seen.keys())
    wrong.doubled = sum(seen.values()) - len(seen)
    return wrong


def _sample(event_id: str) -> bool:
    return zlib.crc32(event_id.encode()) % SAMPLE == 0


def _check_file(path: Path, seen: Counter[str], payloads: dict[str, str], wrong: Wrong) -> None:
    file = pq.ParquetFile(path)
    ids = file.read(["event_id"]).column("event_id").cast(pa.string()).to_pylist()
    seen.update(event_id for event_id in ids if event_id is not None)
    taken = [at for at, event_id in enumerate(ids) if event_id in payloads]
    if not taken:
        return
    rows = file.read().take(taken)
    names = [name for name in rows.column_names if name.startswith("data__")]
    for row in rows.to_pylist():
        payload = json.loads(payloads[row["event_id"]], parse_float=Decimal)
        columns = {tuple(name.split("__")[1:]): row[name] for name in names}
        rescued = {entry["path"] for entry in json.loads(row.get("_rescued") or "[]")}
        _check(payload, (), columns, rescued, wrong)


def _check(
    value: Any, path: tuple[str, ...], columns: dict[tuple[str, ...], Any], rescued: set[str], wrong: Wrong
) -> None:
    if f"/data/{'/'.join(path)}" in rescued:
        return
    if isinstance(value, dict) and columns.get(path) is None:
        for key, item in value.items():
            _check(item, (*path, key), columns, rescued, wrong)
    else:
        _compare(value, columns.get(path), wrong)


def _compare(value: Any, have: Any, wrong: Wrong) -> None:
    if isinstance(value, dict | list) and isinstance(have, str):
        # lists as JSON text
        have = json.loads(have, parse_float=Decimal)
    if isinstance(value, dict) and isinstance(have, dict):
        for key, item in value.items():
            _compare(item, have.get(key), wrong)
        return
    if isinstance(value, list) and isinstance(have, list):
        if len(value) != len(have):
            wrong.missing += 1
        for one, other in zip(value, have, strict=False):
            _compare(one, other, wrong)
        return
    wrong.values += 1
    if value is None or (value == [] and have is None):
        return
    if have is None:
        wrong.missing += 1
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        _compare_number(Decimal(value), have, wrong)
    elif type(value) is not type(have) or value != have:
        wrong.retyped += 1


def _compare_number(value: Decimal, have: Any, wrong: Wrong) -> None:
    try:
        same = Decimal(repr(have) if isinstance(have, float) else str(have)) == value
    except InvalidOperation:
        wrong.retyped += 1
        return
    wrong.digits += not same
    wrong.floats += same and isinstance(have, float)
