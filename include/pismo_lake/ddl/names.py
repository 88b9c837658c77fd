"""Keep in the lake the names of tables and view columns, so that they never change.

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
"""The suffix of a table's view, after the table's name."""

_LOG = logging.getLogger(__name__)
_RESERVED = frozenset({"account_status_latest", "card_status_latest"})


@dataclass(slots=True)
class GivenNames:
    """Names by folder of the lake: of tables, and of their views' columns."""

    lake: str
    tables: dict[str, str] = field(default_factory=dict)
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
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
            tables = {str(key): str(name) for key, name in content["tables"].items()}
            columns = {key: {str(a): str(b) for a, b in names.items()} for key, names in content["columns"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            msg = f"{uri} is damaged: restore it, or remove it so that all names are given again"
            raise LakeError(msg) from None
        return cls(lake, tables, columns, saved)

    def table(self, folder: str, wanted: str) -> str:
        """Return the name of a folder's table: the given one, else `wanted`, with a number if taken."""
        if folder not in self.tables:
            taken = {*self.tables.values(), *(f"{name}{VIEW}" for name in self.tables.values()), *_RESERVED}
            name, number = wanted, 1
            while name in taken or f"{name}{VIEW}" in taken:
                number += 1
                name = f"{wanted}__{number}"
            self.tables[folder] = name
        return self.tables[folder]

    def columns_of(self, folder: str, short_names: ShortNames) -> dict[str, str]:
        """Return the names of a view's columns; `short_names` makes all of them from the given ones."""
        given = self.columns.get(folder, {})
        now = dict(short_names(given))
        self.columns[folder] = given | now
        return now

    def save(self) -> bool:
        """Keep the names in the lake; return False if the lake is read-only."""
        content = {"tables": self.tables, "columns": self.columns}
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
