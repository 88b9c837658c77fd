"""Give the errors of a lost race, and of a catalog that does not answer, names of their own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyiceberg.exceptions import (
    AuthorizationExpiredError,
    BadRequestError,
    CommitFailedException,
    CommitStateUnknownException,
    ForbiddenError,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    OAuthError,
    RESTError,
    TableAlreadyExistsError,
    UnauthorizedError,
    ValidationException,
)
from sqlalchemy.exc import DBAPIError

from pismo_lake.catalog.model import CommitRefusedError
from pismo_lake.errors import ConfigError, TableBusyError

if TYPE_CHECKING:
    from collections.abc import Iterator

_REFUSALS = (
    CommitFailedException, CommitStateUnknownException, ValidationException, NoSuchTableError, TableAlreadyExistsError,
    NamespaceAlreadyExistsError, DBAPIError, FileNotFoundError,
)  # fmt: skip
"""Errors after which the table is loaded again: another process was first, or the answer was lost.

A manifest is not found if another process has forgotten the snapshot that was loaded.
"""
_PERMANENT = (UnauthorizedError, ForbiddenError, OAuthError, AuthorizationExpiredError, BadRequestError)
"""Answers of a rest catalog that the same request gets again."""


@contextmanager
def refusing() -> Iterator[None]:
    """Turn each of these errors into one.

    Raises:
        CommitRefusedError: another process was first.
        ConfigError: a rest catalog refuses the credentials or the request.
        TableBusyError: a rest catalog does not answer.
    """
    try:
        with naming():
            yield
    except _REFUSALS as error:
        raise CommitRefusedError(type(error).__name__) from error


@contextmanager
def naming() -> Iterator[None]:
    """Give errors of a rest catalog names of the project; leave those of a lost race.

    Raises:
        ConfigError: it refuses the credentials or the request.
        TableBusyError: it does not answer.
    """
    try:
        yield
    except _REFUSALS:
        raise
    except _PERMANENT as error:
        msg = f"the rest catalog refuses this delivery: {error}"
        raise ConfigError(msg) from error
    except RESTError as error:
        msg = f"the rest catalog does not answer: {error}"
        raise TableBusyError(msg) from error
