"""Give the errors of a lost race one name."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationException,
)
from sqlalchemy.exc import DBAPIError

from pismo_lake.catalog.model import CommitRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

_REFUSALS = (
    CommitFailedException, CommitStateUnknownException, ValidationException, NoSuchTableError, TableAlreadyExistsError,
    NamespaceAlreadyExistsError, DBAPIError,
)  # fmt: skip
"""Errors after which the table is loaded again: another process was first, or the answer was lost."""


@contextmanager
def refusing() -> Iterator[None]:
    """Turn each of these errors into one.

    Raises:
        CommitRefusedError: another process was first.
    """
    try:
        yield
    except _REFUSALS as error:
        raise CommitRefusedError(type(error).__name__) from error
