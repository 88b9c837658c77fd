"""Airflow's retry policy agrees with the error tree, class by class."""

from __future__ import annotations

import inspect

import pytest
from airflow.sdk import ExceptionRetryPolicy, RetryAction

from pismo.runs.refused import ParamsRefused
from pismo.wiring.retries import PISMO_RETRIES
from pismo_lake import errors

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.PismoError)]


@pytest.mark.parametrize("policy", [PISMO_RETRIES, ExceptionRetryPolicy.deserialize(PISMO_RETRIES.serialize())])
@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_each_error_is_tried_again_unless_it_is_permanent(
    kind: type[errors.PismoError], policy: ExceptionRetryPolicy
) -> None:
    error = kind.__new__(kind)
    decision = policy.evaluate(error, 1, 3)
    assert (decision.action is RetryAction.FAIL) is kind.permanent


def test_the_tree_has_both_kinds_and_foreign_errors_are_tried_again() -> None:
    assert {kind.permanent for kind in CLASSES} == {True, False}
    assert PISMO_RETRIES.evaluate(OSError("disk"), 1, 3).action is RetryAction.DEFAULT


def test_wrong_params_are_not_tried_again() -> None:
    assert PISMO_RETRIES.evaluate(ParamsRefused(1), 1, 3).action is RetryAction.FAIL
    assert PISMO_RETRIES.evaluate(SystemExit(1), 1, 3).action is RetryAction.DEFAULT
