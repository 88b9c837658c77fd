"""Check events against their schemas, and count violations; schemas are never enforced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from pismo_lake.contracts.json_schema import find_schema
from pismo_lake.contracts.validator import validator_of
from pismo_lake.decode.container import uncompress
from pismo_lake.index.files import read_index
from pismo_lake.index.landed import landed_bytes
from pismo_lake.paths import event_name, safe_segment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pismo_lake.contracts.json_schema import SchemaFolder
    from pismo_lake.ledger import FileRecord

_COLUMNS = ["offset", "length", "reason", "domain", "event_type", "schema_version"]


@dataclass(slots=True)
class Violation:
    """A rule of a schema that events break: their number, and the first one's file and offset.

    It holds no values of events.
    """

    event: str
    path: str
    rule: str
    count: int
    first_file: str
    first_offset: int

    def __str__(self) -> str:
        times = f"{self.count} time(s), first in {self.first_file} at {self.first_offset}"
        return f"{self.event} {self.path or '/'}: {self.rule}, {times}"


class SchemaCheck:
    """Validates events of any files; counts `violations`, and `checked` events with a schema."""

    def __init__(self, folders: Iterable[SchemaFolder]) -> None:
        self._folders = list(folders)
        self._validators: dict[tuple[str, str], tuple[Any, bool] | None] = {}
        self._found: dict[tuple[str, str, str], Violation] = {}
        self.checked = 0

    @property
    def violations(self) -> list[Violation]:
        """The violations, sorted by event type and path."""
        return [self._found[key] for key in sorted(self._found)]

    def add(self, record: FileRecord) -> None:
        """Check the usable events of a landed file."""
        if record.index_uri is None:
            return
        data = uncompress(landed_bytes(record), record.name, record.plain_size).data
        for row in read_index(record, _COLUMNS).to_pylist():
            if row["reason"] is not None:
                continue
            named = (safe_segment(row["domain"]), safe_segment(event_name(row["event_type"], row["schema_version"])))
            if named not in self._validators:
                self._validators[named] = self._validator(*named)
            validator = self._validators[named]
            if validator is not None:
                start = row["offset"]
                self._check(named, validator, data[start : start + row["length"]], record.name, start)

    def _check(
        self, named: tuple[str, str], validator: tuple[Any, bool], raw: bytes, name: str, offset: int
    ) -> None:  # fmt: skip
        try:
            event = orjson.loads(raw)
        except ValueError:
            # JSON that only the lenient parser accepts: that breaks no rule of a schema
            return
        self.checked += 1
        rules, whole = validator
        for error in rules.iter_errors(event if whole else event.get("data")):
            path = "".join("/*" if isinstance(step, int) else f"/{step}" for step in error.instance_path)
            rule = "/".join(map(str, error.schema_path[-1:])) or "false"
            found = self._found.setdefault(
                ("/".join(named), path, rule), Violation("/".join(named), path, rule, 0, name, offset)
            )
            found.count += 1

    def _validator(self, domain: str, event: str) -> tuple[Any, bool] | None:
        found = find_schema(self._folders, domain, event)
        return None if found is None else validator_of(*found)
