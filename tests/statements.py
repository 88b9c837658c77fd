"""Note the SQL statements that tests run: `pytest -p tests.statements`, with the place of the notes in NOTED."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

_VALUES = (
    (re.compile(r"%\(\w+\)s(::\w+)?"), "?"),
    (re.compile(r"\(\?(, \?)+\)"), "(?)"),
    (re.compile(r"'lake_\w+'"), "?"),
)
_NOTED = set[str]()


@event.listens_for(Engine, "before_cursor_execute")
def _note(_: object, __: object, statement: str, ___: object, ____: object, many: bool) -> None:
    for pattern, shown in _VALUES:
        statement = pattern.sub(shown, statement)
    if not statement.startswith(("CREATE DATABASE", "DROP DATABASE")):
        _NOTED.add(f"{'many: ' * many}{' '.join(statement.split())}")


def pytest_sessionfinish(session: Any) -> None:
    """Write the statements, one a line."""
    Path(os.environ["NOTED"]).write_text("\n".join(sorted(_NOTED)))
