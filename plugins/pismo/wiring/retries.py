"""Decide which errors a task retries: temporary ones follow `retries`, permanent ones fail."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from pismo.runs.refused import ParamsRefused
from pismo_lake.errors import PismoError

if TYPE_CHECKING:
    from collections.abc import Iterator


def retry_rules(error: type[PismoError] = PismoError, *, inherited: bool | None = None) -> Iterator[RetryRule]:
    """Yield a rule for each error class whose `permanent` differs from its parent's.

    Airflow takes the first rule that matches a class or one of its parents, so subclasses come first.
    """
    for kind in error.__subclasses__():
        yield from retry_rules(kind, inherited=error.permanent)
    if error.permanent is not inherited:
        action = RetryAction.FAIL if error.permanent else RetryAction.DEFAULT
        reason = "a retry cannot help" if error.permanent else "a retry may help"
        yield RetryRule(exception=f"{error.__module__}.{error.__qualname__}", action=action, reason=reason)


_REFUSED = RetryRule(
    exception=f"{ParamsRefused.__module__}.{ParamsRefused.__qualname__}",
    action=RetryAction.FAIL,
    reason="the Params of the run are wrong",
)
PISMO_RETRIES = ExceptionRetryPolicy([_REFUSED, *retry_rules()])
"""For `retry_policy=`. A retry cannot repair a missing right, a wrong setting or a foreign format."""

TASK_DEFAULTS: dict[str, Any] = {
    "owner": "pismo",
    "retries": 3,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": PISMO_RETRIES,
}
"""The settings of every task of the project, for `default_args=`."""
