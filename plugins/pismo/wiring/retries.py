"""Which errors are worth another try: permanent ones fail the task at once, passing ones follow `retries`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

_PERMANENT = (
    "pismo_lake.errors.ConfigError",
    "pismo_lake.errors.AccessDenied",
    "pismo_lake.errors.FileArchived",
    "pismo_lake.errors.FramingError",
    "pismo_lake.errors.IndexIncompleteError",
    "pismo_lake.errors.LandingRefusedError",
    "pismo_lake.errors.LedgerRefused",
    "pismo_lake.errors.SourceRefused",
    "pismo_lake.errors.StorageRefused",
    "pismo_lake.errors.UnbalancedError",
)

PISMO_RETRIES = ExceptionRetryPolicy(
    [RetryRule(exception=path, action=RetryAction.FAIL, reason="trying again cannot help") for path in _PERMANENT]
)
"""For `retry_policy=`: a missing right, a wrong setting or a foreign format does not heal by itself."""

TASK_DEFAULTS: dict[str, Any] = {
    "owner": "pismo",
    "retries": 3,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": PISMO_RETRIES,
}
"""What every task of the project has, for `default_args=`."""
