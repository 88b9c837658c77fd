"""Find the account of an event: messages of one account keep their order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pismo_lake.decode.fields import PAYLOAD_KEY
from pismo_lake.privacy.redact import leaf_text

PLACES = (("account_id",), ("accountId",), ("account", "id"), ("account", "account_id"), ("object", "account_id"))
"""The paths in a payload that may hold the id of the account, the best one first."""


def account_of(event: dict[str, Any]) -> str | None:
    """Return the account id of a parsed event; None if its payload names none.

    >>> account_of({"data": {"account_id": 42}}), account_of({"data": {"object": {"account_id": "7"}}}), account_of({})
    ('42', '7', None)
    """
    for place in PLACES:
        value: Any = event.get(PAYLOAD_KEY)
        for key in place:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, str | int | Decimal) and not isinstance(value, bool) and value != "":
            return leaf_text(value)
    return None
