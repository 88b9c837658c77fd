"""End a task whose run has wrong Params with one sentence in its log, and without a stack trace."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pismo_lake.errors import ParamsError

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator


class ParamsRefused(SystemExit):
    """End the task. Airflow logs the stack trace of every other exception, which helps nobody who filled in a form."""


@contextmanager
def refuse_wrong_params(log: logging.Logger) -> Iterator[None]:
    """Log the sentence of a `ParamsError` that the block raises, and end the task.

    Raises:
        ParamsRefused: The Params are wrong. No retry follows (see `wiring.retries`).
    """
    try:
        yield
    except ParamsError as error:
        log.error("%s", error)  # noqa: TRY400 - the message needs no stack trace
        raise ParamsRefused(1) from None
