"""Count failed landings, quarantine files that fail too often, and report the failures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pismo.runs.find import find_wanted_again, ledger_key
from pismo_lake.errors import AccessDenied, LandingRefusedError, SourceError, SourceUnavailable
from pismo_lake.ledger import Sightings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pismo.runs.land import Landed
    from pismo.runs.window import Window
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery

MOST_IN_XCOM = 200
"""XCom is for small values. The ledger has every failure: `python -m pismo_lake files --failed`."""
_LONGEST_PROBLEM = 500


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file that could not be landed, with the number of runs that tried."""

    key: str
    problem: str
    tries: int
    quarantined: bool

    def __str__(self) -> str:
        tried = f" (failed in {self.tries} run(s))" if self.tries else ""
        return f"{self.problem}{tried}{'; it is quarantined now' if self.quarantined else ''}"


def count_failures(delivery: Delivery, ledger: Ledger, window: Window, landed: Landed) -> list[FailedFile]:
    """Count a try for each failure, and return the failures that the run must show.

    If a file was quarantined before, its failure was shown then; it is shown again only if the run names the file. An
    outage is not counted against any file: a lost right or a silent server must not quarantine good files.
    """
    sightings = Sightings(ledger, delivery.lake, delivery.name)
    before = sightings.list_quarantined()
    asked = find_wanted_again(window, before.values()) if window.retry_failed or window.object_keys else set()
    outage = SourceUnavailable | AccessDenied
    counted = [key for key, error in landed.failures.items() if landed.source_works or not isinstance(error, outage)]
    tried = sightings.count_tries(map(ledger_key, counted), delivery.quarantine_after)
    failed = []
    for key, error in landed.failures.items():
        known = ledger_key(key)
        if known not in before or key in asked:
            tries, quarantined = (tried[known].tries, tried[known].quarantined) if known in tried else (0, None)
            failed.append(FailedFile(key, str(error)[:_LONGEST_PROBLEM], tries, quarantined is not None))
    return failed


def failures_for_xcom(failed: Iterable[FailedFile]) -> list[dict[str, Any]]:
    """Return at most `MOST_IN_XCOM` failures as plain values."""
    return [asdict(file) for file in failed][:MOST_IN_XCOM]


def refusal_of(failed: Iterable[Mapping[str, Any]]) -> LandingRefusedError | None:
    """Return the error that names each failed file, or None if no file failed."""
    files = [FailedFile(**values) for values in failed]
    return LandingRefusedError({file.key: SourceError(str(file), key=file.key) for file in files}) if files else None
