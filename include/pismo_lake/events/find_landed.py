"""Find the events of a person in landed raw files, by the values of columns.

Raw files hold all values in clear. So rows are found whose values a policy has dropped, masked or hashed with a key
that is lost, and values inside lists.
"""

from __future__ import annotations

import re
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow.compute as pc

from pismo_lake.contracts.names import column_path
from pismo_lake.decode.container import MAX_PLAIN_BYTES, uncompress
from pismo_lake.decode.envelope import parse_exact
from pismo_lake.errors import PismoError
from pismo_lake.events.find_rows import Found
from pismo_lake.index.files import read_index
from pismo_lake.index.landed import landed_bytes
from pismo_lake.ledger import LakeFiles
from pismo_lake.paths import event_name, event_path
from pismo_lake.privacy.redact import leaf_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pismo_lake.events.find_rows import Condition
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.settings.lake import LakeSettings

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 8
# the digits of 1.2345678E7 do not show that it is 12345678
_EXPONENT = rb"[\[:,]\s*-?[0-9]+(?:\.[0-9]+)?[eE][+-]?[0-9]"
_COLUMNS = ["offset", "length", "org_id", "event_id", "domain", "event_type", "schema_version", "reason"]


@dataclass(slots=True)
class FoundLanded:
    """The events from a search of landing, their columns, and (delivery, name) of its files."""

    events: dict[tuple[str | None, str], Found] = field(default_factory=dict)
    columns: set[str] = field(default_factory=set)
    searched: set[tuple[str, str]] = field(default_factory=set)


def search_landed(settings: LakeSettings, ledger: Ledger, conditions: Sequence[Condition]) -> FoundLanded:
    """Search each indexed raw file of the lake; skip a missing or unreadable file."""
    result = FoundLanded()
    records = LakeFiles(ledger, settings.lake).every() if conditions else []
    for record, matches in work_ahead(lambda record: _matches(record, conditions), records):
        if matches is None:
            continue
        result.searched.add((record.delivery, record.name))
        for found, column in matches:
            result.events.setdefault((found.org_id, found.event_id), found)
            result.columns.add(column)
    return result


def work_ahead(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
    """Yield each item with the result of its work; threads work a few items ahead."""
    with ThreadPoolExecutor(_AHEAD, thread_name_prefix="search") as pool:
        waiting = deque[Any]()
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > _AHEAD:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()


def _matches(record: FileRecord, conditions: Sequence[Condition]) -> list[tuple[Found, str]] | None:
    try:
        data = uncompress(landed_bytes(record), record.name, record.plain_size or MAX_PLAIN_BYTES).data
        index = read_index(record, _COLUMNS)
    except (PismoError, FileNotFoundError):
        return None
    wanted = [(column, column_path(column), value) for column, value in conditions]
    suspect = suspect_pattern(value for _, value in conditions)
    found = []
    if suspect.search(data) is None:
        return []
    for row in index.filter(pc.is_null(index.column("reason"))).to_pylist():
        raw = data[row["offset"] : row["offset"] + row["length"]]
        if suspect.search(raw) is None or not raw.strip(b" "):
            continue
        event = parse_exact(raw)
        for column, path, value in wanted:
            if value in leaf_texts(event, path):
                name = event_path(row["domain"], event_name(row["event_type"], row["schema_version"]))
                found.append((Found(name, row["org_id"], row["event_id"]), column))
    return found


def suspect_pattern(values: Iterable[str]) -> re.Pattern[bytes]:
    """Return a pattern for all events that may hold one of some values, in any spelling of JSON."""
    return re.compile(b"|".join([rb"\\", _EXPONENT, *map(_value_pattern, values)]))


def _value_pattern(value: str) -> bytes:
    """Return a pattern for a value without an escape; other digits of a number may match too."""
    whole = value.split(".")[0] if re.fullmatch(r"-?\d+\.\d+", value) else value
    return re.escape(whole.encode("utf-8", "surrogatepass"))


def leaf_texts(value: Any, path: Sequence[str]) -> Iterator[str]:
    """Yield the texts of the leaves at a path, in lists too."""
    if isinstance(value, list):
        for item in value:
            yield from leaf_texts(item, path)
    elif path and isinstance(value, dict):
        if path[0] in value:
            yield from leaf_texts(value[path[0]], path[1:])
    elif not path and value is not None and not isinstance(value, dict):
        yield leaf_text(value)
