"""Define rules that the models of the deliveries file share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

STRICT_MODEL = ConfigDict(
    # a misspelt setting must not be ignored
    extra="forbid",
    # YAML reads an account id of digits as a number
    coerce_numbers_to_str=True,
    allow_inf_nan=False,
    use_attribute_docstrings=True,
)
"""The configuration of each model."""


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        msg = "true and false are not numbers"
        raise ValueError(msg)  # noqa: TRY004 - pydantic takes a ValueError
    return value


def _truth(value: Any) -> bool:
    return bool(("false", "true").index(str(value).lower()))


NO_TRUTH = BeforeValidator(_number)
"""Refuse true and false for a number. It comes after the number's bounds in `Annotated`."""

Whole = Annotated[int, NO_TRUTH]
"""A whole number; a text of digits is one too, because ``${NAME}`` gives text."""

Truth = Annotated[bool, BeforeValidator(_truth)]
"""True or false, also as text."""

AtLeastOne = Annotated[int, Field(ge=1), NO_TRUTH]
MoreThanZero = Annotated[float, Field(gt=0), NO_TRUTH]
