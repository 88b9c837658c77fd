"""Define how one delivery is landed and built; outputs depend on each of these settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pismo_lake.errors import ConfigError
from pismo_lake.settings.contracts import EVOLVING, ContractRules

if TYPE_CHECKING:
    from pismo_lake.settings.privacy import Privacy
    from pismo_lake.settings.tables import Tables
    from pismo_lake.storage.encryption import LakeKey

FREE_FORM = frozenset({"metadata", "custom_fields"})
"""Keys whose values are any key/value pairs by Pismo's documents (onboarding/succeeded, account/account_change)."""

DECIMAL_NAMES = (
    r"(^|_)(amount|value|balance|credits?|debits?|limit|rate|fee|price|payment|percentage|interest|funds)(_|$)"
    r"|Amount|Balance|Value|Rate"
)
"""Numbers with names like these are decimal from their first value on: one field has 50 and 20.1 (facts §5.3)."""


@dataclass(frozen=True, slots=True)
class LakeSettings:
    """The settings to land and build one delivery.

    `landing` and `lake` are local paths or object-store URIs; `part_bytes` bounds memory, in raw bytes. A compressed
    file is refused if it holds more than `max_plain_bytes`; files that are indexed already stay readable. From
    `target_bytes` on, a closed day starts another file in a partition. `privacy` is the policy for rows, rejects and
    single events, `key` the KMS key that encrypts the files of the lake. `tables` is the table format, if the lake has
    one; no file depends on it.
    """

    delivery: str
    landing: str
    lake: str
    horizon_days: int = 7
    part_bytes: int = 64 << 20
    target_bytes: int = 256 << 20
    event_date_zone: str = "UTC"
    free_form: frozenset[str] = FREE_FORM
    decimal_names: str = DECIMAL_NAMES
    privacy: Privacy | None = None
    contracts: ContractRules = EVOLVING
    key: LakeKey | None = None
    max_plain_bytes: int = 128 << 20
    tables: Tables | None = None

    def __post_init__(self) -> None:
        if self.horizon_days < 0 or min(self.part_bytes, self.target_bytes, self.max_plain_bytes) < 1:
            sizes = "part_bytes, target_bytes and max_plain_bytes"
            msg = f"{self.delivery}: horizon_days must be 0 or more, {sizes} 1 or more"
            raise ConfigError(msg)
        try:
            ZoneInfo(self.event_date_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            # OSError: for example, America is a folder of zones
            msg = f"{self.delivery}: event_date_zone {self.event_date_zone!r} is not an IANA time zone"
            raise ConfigError(msg) from None
