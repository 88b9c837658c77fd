"""Keep the latest checks of a delivery in its lake, for the page, and read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from pismo.checks.check import Check, State
from pismo_lake import storage
from pismo_lake.paths import IDENTITY, doctor_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pismo_lake.settings.lake import LakeSettings


@dataclass(frozen=True, slots=True)
class LatestChecks:
    """The checks of the last run of the doctor's DAG, and its time in ISO 8601."""

    checked_at: str
    checks: tuple[Check, ...]

    @property
    def failed(self) -> int:
        """The number of checks that failed."""
        return sum(check.state is State.FAIL for check in self.checks)


def keep_checks(settings: LakeSettings, checks: Sequence[Check], moment: datetime) -> bool:
    """Replace the latest checks; return False if there is no lake yet, because checks do not begin one."""
    if not storage.exists(storage.join(settings.lake, IDENTITY)):
        return False
    document = {"checked_at": moment.isoformat(timespec="seconds"), "checks": list(checks)}
    storage.write_atomic(storage.join(settings.lake, doctor_path(settings.delivery)), orjson.dumps(document))
    return True


def read_checks(settings: LakeSettings) -> LatestChecks | None:
    """Return the latest checks; None if there are none that can be read."""
    try:
        found = orjson.loads(storage.read_bytes(storage.join(settings.lake, doctor_path(settings.delivery))))
        checks = tuple(
            Check(str(each["name"]), State(each["state"]), str(each["seen"]), str(each["advice"]))
            for each in found["checks"]
        )
        return LatestChecks(str(found["checked_at"]), checks)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
