"""Check a lake against the truth, as an independent reader of the documented layout.

It shares no code with the writer.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from pismo_sandbox.check.truth import Truth

_SHOWN = 20


@dataclass(slots=True)
class Verification:
    """The result of a comparison; `problems` has up to twenty texts, `problem_count` counts all."""

    events: int = 0
    rows: int = 0
    leaves: int = 0
    rescued: int = 0
    rejects: int = 0
    conflicts: int = 0
    files: int = 0
    problem_count: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the lake holds exactly the published events."""
        return self.problem_count == 0

    def problem(self, text: str) -> None:
        """Record a difference."""
        self.problem_count += 1
        if len(self.problems) < _SHOWN:
            self.problems.append(text)


def _exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def column_path(name: str) -> tuple[str, ...]:
    """Return the JSON keys of a payload column, by the documented naming rule."""
    return tuple("" if part == "%" else unquote(part) for part in name.split("__"))


def verify(lake: str | Path, truth: Truth) -> Verification:
    """Compare every event, every value of its payload, and every rejected range of a local lake."""
    found = Verification()
    expected = {(org, event_id): (key, offset, payload) for org, event_id, key, offset, payload in truth.winners()}
    found.events = len(expected)
    seen: set[tuple[str, str]] = set()
    for path in sorted(Path(lake).glob("events/**/*.parquet")):
        found.files += 1
        for row, payload in _rows(path):
            found.rows += 1
            check_row(row, payload, expected, seen, found)
    for org, event_id in expected.keys() - seen:
        found.problem(f"lost: {event_id} of {org} from {expected[org, event_id][0]}")
    check_rejects(Path(lake), truth, found)
    return found


def _rows(path: Path) -> Iterator[tuple[dict[str, Any], dict[tuple[str, ...], Any]]]:
    file = pq.ParquetFile(path)
    for batch in file.iter_batches(batch_size=5000):
        yield from with_payloads(batch)


def with_payloads(rows: pa.RecordBatch | pa.Table) -> Iterator[tuple[dict[str, Any], dict[tuple[str, ...], Any]]]:
    """Yield rows of the lake with the values of their payload columns, by path in the event."""
    columns = [name for name in rows.schema.names if name.startswith(("data__", "envelope__"))]
    paths = {name: column_path(name) for name in columns}
    for row in rows.to_pylist():
        yield row, {paths[name]: row[name] for name in columns if row[name] is not None}


def check_row(
    row: Mapping[str, Any],
    payload: Mapping[tuple[str, ...], Any],
    expected: Mapping[tuple[str, str], tuple[str, int, str]],
    seen: set[tuple[str, str]],
    found: Verification,
) -> None:
    """Compare a row and the values of its payload columns with the published event."""
    identity = ((row["org_id"] or "").lower(), row["event_id"])
    name = f"{row['event_id']} ({row['_source_file']} at {row['_source_offset']})"
    if identity in seen:
        found.problem(f"doubled: {name}")
        return
    seen.add(identity)
    if identity not in expected:
        found.problem(f"never published: {name}")
        return
    key, offset, text = expected[identity]
    if (row["_source_file"], row["_source_offset"]) != (key, offset):
        found.problem(f"not the winning copy, which is {key} at {offset}: {name}")
    rescued: dict[str, list[Any]] = defaultdict(list)
    for entry in _exact(row["_rescued"]) if row["_rescued"] else ():
        rescued[entry["path"]].append(entry["value"])
        found.rescued += 1
    _check_value(_exact(text), ("data",), payload, rescued, name, found)


def _check_value(
    value: Any,
    path: tuple[str, ...],
    columns: Mapping[tuple[str, ...], Any],
    rescued: Mapping[str, list[Any]],
    name: str,
    found: Verification,
) -> None:
    pointer = "".join(f"/{_step(key)}" for key in path)
    if value in rescued.get(pointer, ()):
        found.leaves += 1
        return
    have = columns.get(path)
    if isinstance(value, dict) and value and have is None:
        for key, item in value.items():
            _check_value(item, (*path, key), columns, rescued, name, found)
        return
    found.leaves += 1
    if not _is_same(value, have, pointer, rescued):
        found.problem(f"{pointer} of {name} differs")


def _is_same(value: Any, have: Any, pointer: str, rescued: Mapping[str, list[Any]]) -> bool:
    """Compare a JSON value with a column's value.

    Numbers must be equal exactly, structs by key with null for absent keys. Parts may be rescued.
    """
    if have is None and value in rescued.get(pointer, ()):
        return True
    if have is None and isinstance(value, dict) and value:
        # an object with only nulls is null
        return all(_is_same(item, None, f"{pointer}/{_step(key)}", rescued) for key, item in value.items())
    if isinstance(have, str) and value != have:
        return _json_text(have, value)
    if isinstance(value, bool) or isinstance(have, bool):
        return value is have
    if isinstance(value, int | Decimal) and isinstance(have, int | Decimal):
        return Decimal(value) == Decimal(have)
    if isinstance(value, list) and isinstance(have, list):
        pairs = enumerate(zip(value, have, strict=False))
        return len(value) == len(have) and all(_is_same(*pair, f"{pointer}/{at}", rescued) for at, pair in pairs)
    if isinstance(value, dict) and isinstance(have, dict):
        fields = {column_path(key)[0]: item for key, item in have.items()}
        return all(
            _is_same(value.get(key), fields.get(key), f"{pointer}/{_step(key)}", rescued)
            for key in value.keys() | fields.keys()
        )
    return type(value) is type(have) and value == have


def _step(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _json_text(text: str, value: Any) -> bool:
    """Return whether a column of JSON text (a free-form field) holds this value."""
    try:
        return bool(_exact(text) == value)
    except ValueError:
        return False


def check_rejects(lake: Path, truth: Truth, found: Verification, *, conflicts: bool = True) -> None:
    """Check that rejects cover every damaged range, and that conflicting copies are rejected."""
    ranges: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for path in sorted(lake.glob("rejects/**/*.parquet")):
        for row in pq.read_table(path, columns=["source_file", "source_offset", "length", "reason"]).to_pylist():
            ranges[row["source_file"]].append((row["source_offset"], row["length"], row["reason"]))
            found.rejects += 1
    for key, offset, length, kind in truth.rejects():
        inside = (start < offset + length and offset < start + size for start, size, _ in ranges[key])
        if not any(inside):
            found.problem(f"damage not in rejects: {kind} in {key} at {offset}")
    if not conflicts:
        return
    expected = set(truth.conflicts())
    have = {(k, start) for k, rows in ranges.items() for start, _, reason in rows if reason == "conflicting_duplicate"}
    found.conflicts = len(have)
    for key, offset in expected ^ have:
        found.problem(f"conflict {'missing' if (key, offset) in expected else 'unexpected'}: {key} at {offset}")
