"""Count the changes of a lake: the generation, in the ledger and in numbered marks in the lake.

`ledger.binding` compares both. A ledger with a smaller number is an older copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from sqlalchemy import update

from pismo_lake import storage
from pismo_lake.ledger.engine import now_text
from pismo_lake.ledger.tables import lakes
from pismo_lake.paths import GENERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

_KEPT_MARKS = 32


def newest_generation(lake: str) -> int:
    """Return the generation that the marks in the lake show; 0 if there is none."""
    return max((number for number, _ in _marks(lake)), default=0)


def raise_generation(connection: Connection, lake: str) -> int | None:
    """Raise the generation in the transaction of a change; return None if the lake is unbound.

    Call it as the last statement of the transaction, so that it locks the row, which all builders of the lake share,
    for a moment only.
    """
    values = {"generation": lakes.c.generation + 1}
    query = update(lakes).where(lakes.c.lake == lake).values(values).returning(lakes.c.generation)
    return connection.execute(query).scalar()


def mark_generation(lake: str, generation: int | None, run: str | None) -> None:
    """Show a generation in the lake after its transaction.

    Each generation has its own mark, so builders need no lock.
    """
    if generation is None:
        return
    content = {"generation": generation, "at": now_text(), "run": run}
    storage.write_atomic(storage.join(lake, GENERATIONS, f"{generation:012d}.json"), orjson.dumps(content))
    if generation % _KEPT_MARKS == 0:
        for number, uri in _marks(lake):
            if number <= generation - _KEPT_MARKS:
                storage.remove(uri)


def _marks(lake: str) -> Iterator[tuple[int, str]]:
    for uri in storage.list_files(storage.join(lake, GENERATIONS)):
        number = uri.rsplit("/", 1)[-1].removesuffix(".json")
        if number.isdecimal():
            yield int(number), uri
