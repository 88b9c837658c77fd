"""Which errors are worth another try: permanent ones fail the task at once, passing ones follow `retries`."""

from __future__ import annotations

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

_PERMANENT = (
    "pismo_lake.errors.ConfigError",
    "pismo_lake.errors.AccessDenied",
    "pismo_lake.errors.FramingError",
    "pismo_lake.errors.LandingRefusedError",
    "pismo_lake.errors.UnbalancedError",
)

PISMO_RETRIES = ExceptionRetryPolicy(
    [RetryRule(exception=path, action=RetryAction.FAIL, reason="trying again cannot help") for path in _PERMANENT]
)
"""For `retry_policy=`: a missing right, a wrong setting or a foreign format does not heal by itself."""
