"""Define one check of the doctor, and print the table of checks."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pismo_lake.errors import PismoError
from pismo_lake.faults import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_WIDTH = 100
# any other text may hold anything, for example the values of a connection
_SERVICES = frozenset({"boto3", "botocore", "google", "sqlalchemy"})


class State(StrEnum):
    """The result of a check; `OPTIONAL` means that it failed, but the pipeline works without it."""

    PASS = "pass"  # noqa: S105 - a state
    OPTIONAL = "optional"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, its result, its finding, and advice for a failure."""

    name: str
    state: State
    seen: str
    advice: str = ""


def attempt(name: str, work: Callable[[], str], advice: str = "", optional: tuple[type[PismoError], ...] = ()) -> Check:
    """Run a check; the text that it returns is its finding.

    Args:
        name: the check's name.
        work: the function to run.
        advice: shown if the check fails.
        optional: errors that make the check `OPTIONAL` instead of `FAIL`.
    """
    try:
        return Check(name, State.PASS, work())
    except optional as error:
        return Check(name, State.OPTIONAL, str(error), advice)
    except PismoError as error:
        return Check(name, State.FAIL, str(error), advice)
    except Exception as error:  # noqa: BLE001 - an error fails this check, not the doctor
        return Check(name, State.FAIL, describe_error(error), advice)


def describe_error(error: Exception) -> str:
    """Return the kind of a foreign error, with its text if a disk or a service wrote it.

    Secrets are removed from the text.
    """
    library = type(error).__module__.partition(".")[0]
    known = isinstance(error, OSError) or library in _SERVICES
    return reason_of(error).answer if known else type(error).__name__


def skip(*names: str, because: str) -> list[Check]:
    """Return checks that are skipped because an earlier one failed."""
    return [Check(name, State.SKIPPED, f"because of {because}") for name in names]


def table(checks: Iterable[Check]) -> str:
    """Return the checks as text: state and name, then the finding, then advice unless it passed."""
    lines = []
    for check in checks:
        lines.append(f"{check.state:<9}{check.name}")
        text = check.seen + (f"\n→ {check.advice}" if check.advice and check.state is not State.PASS else "")
        for part in text.splitlines():
            lines += textwrap.wrap(part, _WIDTH, initial_indent=" " * 9, subsequent_indent=" " * 9)
    return "\n".join(lines)
