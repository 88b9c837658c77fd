"""Plant personal values into payloads, so that a search can find any that a policy misses.

The personal fields come from the event pages of Pismo's documentation, independently of any policy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PERSONAL_KEYS = frozenset({
    "name", "externalId", "email", "gender", "printedName", "nickname", "documentNumber", "birthDate",
    "document_number", "registration", "birth_date", "marital_status", "mothers_name", "social_name", "printed_name",
    "account_name", "card_name", "card_printed_name", "card_hash", "card_last_four_numbers", "first_6_digits",
    "last_4_digits", "device_id", "account_number", "area_code", "number", "extension", "comment", "metadata",
    "custom_fields", "token_unique_reference", "pan_unique_reference",
})  # fmt: skip
_IMPERSONAL_PARENTS = frozenset({"merchant", "program", "embosser", "installment"})
CARD_NUMBERS = ("4111111111111111", "5500 0000 0000 0004", "3400-000000-00009")
"""Test numbers of card schemes; each passes the Luhn check."""


@dataclass(slots=True)
class Planter:
    """Puts its own value in place of each personal value, and remembers it."""

    values: list[str] = field(default_factory=list)

    def plant(self, payload: Any, parent: str = "", key: str = "") -> Any:
        """Return the payload with planted values; other values stay."""
        if key in PERSONAL_KEYS and parent not in _IMPERSONAL_PARENTS:
            return self._plant_value(payload, key)
        if isinstance(payload, dict):
            return {name: self.plant(value, key, name) for name, value in payload.items()}
        if isinstance(payload, list):
            return [self.plant(value, parent, key) for value in payload]
        return payload

    def text(self) -> str:
        """Return a new value to plant by hand."""
        self.values.append(f"Planted{len(self.values):07d}Zq")
        return self.values[-1]

    def _plant_value(self, value: Any, key: str) -> Any:
        if key in {"metadata", "custom_fields"}:
            return {"person": self.text(), "more": [{"of_them": self.text()}]}
        if key in {"birthDate", "birth_date"}:
            return f"19{len(self.values) % 90 + 10}-11-{self.text()}"
        if isinstance(value, int | float):
            self.values.append(str(770_000_000_000 + len(self.values)))
            return int(self.values[-1])
        return self.text()
