"""Keep in the lake the names of tables and views, and of view columns, so that they never change.

Without the record, a table could lose its name to a new event type of a similar name, and a view's column to a new
column with the same last key.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from pismo_lake import storage
from pismo_lake.errors import LakeError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    ShortNames = Callable[[Mapping[str, str]], Mapping[str, str]]

PLACE = ("_ddl", "names.json")
VIEW = "__v"
"""The suffix of a table's view in version 1.0, after the table's name."""

REJECTS = "rejects"
REPORT_VALUES = "day_report_values"
REPORTS = "day_reports"
LATEST = ("account_status_latest", "card_status_latest")

_LOG = logging.getLogger(__name__)
# an event type with such a name would need quotes in some engines
_SQL_WORDS = ("current_catalog", "current_date", "current_role", "current_schema", "current_time", "current_timestamp",
              "current_user", "session_user", "system_user")  # fmt: skip
_RESERVED = frozenset({*LATEST, REJECTS, REPORTS, REPORT_VALUES, *_SQL_WORDS})


@dataclass(slots=True)
class GivenNames:
    """Names by folder of the lake: of tables, of their views, and of the views' columns.

    The view of all versions of an event type has a folder with `*` for the version. `earlier` are the folders whose
    view had a name of version 1.0, with the suffix `VIEW`.
    """

    lake: str
    tables: dict[str, str] = field(default_factory=dict)
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    views: dict[str, str] = field(default_factory=dict)
    earlier: list[str] = field(default_factory=list)
    _saved: bytes = b""

    @classmethod
    def load(cls, lake: str) -> GivenNames:
        """Read a lake's record; without one, the names are empty.

        Raises:
            LakeError: the record is damaged.
        """
        uri = storage.join(lake, *PLACE)
        try:
            saved = storage.read_bytes(uri)
        except (FileNotFoundError, NotADirectoryError):
            return cls(lake)
        try:
            content: dict[str, Any] = orjson.loads(saved)
            tables = _read_names(content["tables"])
            columns = {key: _read_names(names) for key, names in content["columns"].items()}
            # a record of version 1.0 has no views, and all its tables had views with the suffix
            views = _read_names(content.get("views", {}))
            earlier = [str(folder) for folder in content.get("earlier", () if "views" in content else tables)]
        except (ValueError, KeyError, TypeError, AttributeError):
            msg = f"{uri} is damaged: restore it, or remove it so that all names are given again"
            raise LakeError(msg) from None
        return cls(lake, tables, columns, views, earlier, saved)

    def table(self, folder: str, wanted: str) -> str:
        """Return the name of a folder's table: the given one, else `wanted`, with a number if taken."""
        if folder not in self.tables:
            self.tables[folder] = self._free_name(wanted)
        return self.tables[folder]

    def view(self, folder: str, wanted: str) -> str:
        """Return the name of a folder's view: the given one, else `wanted`, with a number if taken."""
        if folder not in self.views:
            self.views[folder] = self._free_name(wanted)
        return self.views[folder]

    def _free_name(self, wanted: str) -> str:
        taken = {*self.tables.values(), *(f"{name}{VIEW}" for name in self.tables.values()), *_RESERVED}
        taken.update(self.views.values())
        name, number = wanted, 1
        while name in taken or f"{name}{VIEW}" in taken:
            number += 1
            name = f"{wanted}__{number}"
        return name

    def columns_of(self, folder: str, short_names: ShortNames) -> dict[str, str]:
        """Return the names of a view's columns; `short_names` makes all of them from the given ones."""
        given = self.columns.get(folder, {})
        now = dict(short_names(given))
        self.columns[folder] = given | now
        return now

    def save(self) -> bool:
        """Keep the names in the lake; return False if the lake is read-only."""
        content = {"tables": self.tables, "columns": self.columns, "views": self.views, "earlier": sorted(self.earlier)}
        document = orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
        if document == self._saved or not self.tables:
            return True
        uri = storage.join(self.lake, *PLACE)
        try:
            storage.write_atomic(uri, document)
        except (StorageError, LakeError) as error:
            _LOG.warning("names are not kept: cannot write %s: %s", uri, error)
            return False
        self._saved = document
        return True

    def is_current(self) -> bool:
        """Return whether the kept names are still those that were read."""
        try:
            return storage.read_bytes(storage.join(self.lake, *PLACE)) == self._saved
        except (FileNotFoundError, NotADirectoryError):
            return not self._saved


def _read_names(names: dict[str, Any]) -> dict[str, str]:
    return {str(key): str(name) for key, name in names.items()}
