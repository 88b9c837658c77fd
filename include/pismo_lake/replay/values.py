"""Find the events of a raw file by values of their payloads, or by their accounts.

Raw files hold all values in clear, also those that a policy keeps out of the lake.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pismo_lake.contracts.names import column_path
from pismo_lake.decode.envelope import parse_exact
from pismo_lake.events.find_landed import leaf_texts, suspect_pattern
from pismo_lake.replay.account import account_of

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from pismo_lake.replay.selection import Selection


@dataclass(frozen=True, slots=True)
class ValueFilter:
    """The values and accounts that a selection asks for."""

    columns: dict[tuple[str, ...], frozenset[str]]
    accounts: frozenset[str]
    suspect: re.Pattern[bytes]

    @classmethod
    def of(cls, selection: Selection) -> ValueFilter | None:
        """Return the filter of a selection; None if it asks for no value."""
        columns: dict[tuple[str, ...], set[str]] = {}
        for column, value in selection.values:
            columns.setdefault(column_path(column), set()).add(value)
        if not columns and not selection.accounts:
            return None
        asked = [*(value for _, value in selection.values), *selection.accounts]
        wanted = {path: frozenset(of) for path, of in columns.items()}
        return cls(wanted, frozenset(selection.accounts), suspect_pattern(asked))

    def match(self, data: bytes, places: Iterable[tuple[int, int]]) -> NDArray[np.bool_]:
        """Return for each (offset, length) in the bytes of a file whether its event has the values."""
        found = [self._has(data[offset : offset + length]) for offset, length in places]
        return np.array(found, dtype=bool)

    def _has(self, raw: bytes) -> bool:
        # an erasure may have blanked it
        if self.suspect.search(raw) is None or not raw.strip(b" "):
            return False
        event: dict[str, Any] = parse_exact(raw)
        if self.accounts and account_of(event) not in self.accounts:
            return False
        return all(not wanted.isdisjoint(leaf_texts(event, path)) for path, wanted in self.columns.items())
