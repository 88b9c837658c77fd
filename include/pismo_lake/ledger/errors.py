"""Convert errors of the ledger's database, with the ledger's name and the driver's reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DataError, IntegrityError, InterfaceError, ProgrammingError

from pismo_lake.errors import ConfigError, LedgerError, LedgerRefused
from pismo_lake.faults import remove_secrets

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine
    from sqlalchemy.engine import ExceptionContext

# another process created the same table at the same moment: the caller handles this
_MADE_TWICE = re.compile(r"already exists|duplicate column", re.IGNORECASE)
_RIGHTS = {"42501"}

_REFUSED: tuple[tuple[str, str], ...] = (
    (r"not a database|malformed|unsupported file format", "restore it, or remove it and run: ledger rebuild"),
    (r"unable to open database file", "its folder must exist, and this user must be allowed to write in it"),
    (r"readonly database", "this user must be allowed to write the file and its folder"),
    (r"authentication failed|no password supplied|pg_hba\.conf", "check user and password of the ledger"),
    (r'database ".*" does not exist', "create the database first"),
    (r'role ".*" does not exist|permission denied', "create the user, and grant it the ledger's schema"),
)
_PASSING: tuple[tuple[str, str], ...] = (
    (r"(?:database or disk|device) is full|no space left", "free some space there"),
)


def read_url(url: str) -> URL:
    """Read a SQLAlchemy URL.

    Raises:
        ConfigError: the text is not a URL.
    """
    try:
        return make_url(url)
    except ArgumentError as error:
        # the text may hold a password
        form = "sqlite:////folder/ledger.db or postgresql://user@host/database"
        msg = f"the ledger's URL is not valid, write it as {form}: ArgumentError: {remove_secrets(str(error))}"
        raise ConfigError(msg) from error


def name_errors(engine: Engine) -> None:
    """Raise a `LedgerError` with the ledger's name for errors of its database, not of its data."""
    shown = engine.url.render_as_string(hide_password=True)

    @event.listens_for(engine, "handle_error")
    def _convert_error(context: ExceptionContext) -> LedgerError | None:
        if context.is_pre_ping:
            # the pool itself replaces a lost connection
            return None
        error = context.sqlalchemy_exception
        original = context.original_exception
        state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
        of_data = isinstance(error, IntegrityError | DataError | ProgrammingError) and state not in _RIGHTS
        if of_data or not isinstance(error, DatabaseError | InterfaceError) or _MADE_TWICE.search(str(original)):
            return None
        work = "opened" if context.connection is None else "used"
        return _convert(f"ledger {shown} cannot be {work}", str(original))


def _convert(failed: str, text: str) -> LedgerError:
    answer = remove_secrets(text)
    for kind, known in ((LedgerRefused, _REFUSED), (LedgerError, _PASSING)):
        for pattern, advice in known:
            if re.search(pattern, answer, re.IGNORECASE):
                return kind(f"{failed}: {answer}; {advice}")
    return LedgerError(f"{failed}: {answer}")
