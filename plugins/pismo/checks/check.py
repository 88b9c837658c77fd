"""One check and the table of all of them."""

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
    """`OPTIONAL`: not as it might be, and things work without."""

    PASS = "pass"  # noqa: S105 - a state
    OPTIONAL = "optional"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it is, what was seen, and what to do about it."""

    name: str
    state: State
    seen: str
    advice: str = ""


def attempt(name: str, work: Callable[[], str], advice: str = "", optional: tuple[type[PismoError], ...] = ()) -> Check:
    """Do something; its answer is what was seen. Foreign errors are `shown`."""
    try:
        return Check(name, State.PASS, work())
    except optional as error:
        return Check(name, State.OPTIONAL, str(error), advice)
    except PismoError as error:
        return Check(name, State.FAIL, str(error), advice)
    except Exception as error:  # noqa: BLE001 - a doctor does not die of what it finds
        return Check(name, State.FAIL, shown(error), advice)


def shown(error: Exception) -> str:
    """Say what a foreign error is: its kind, and its text without secrets if a disk or a service gave it."""
    library = type(error).__module__.partition(".")[0]
    known = isinstance(error, OSError) or library in _SERVICES
    return reason_of(error).told if known else type(error).__name__


def skipped(*names: str, because: str) -> list[Check]:
    """Checks that another one's failure makes pointless."""
    return [Check(name, State.SKIPPED, f"because of {because}") for name in names]


def table(checks: Iterable[Check]) -> str:
    """A block a check: state, name, what was seen, and what to do where something is."""
    lines = []
    for check in checks:
        lines.append(f"{check.state:<9}{check.name}")
        text = check.seen + (f"\n→ {check.advice}" if check.advice and check.state is not State.PASS else "")
        for part in text.splitlines():
            lines += textwrap.wrap(part, _WIDTH, initial_indent=" " * 9, subsequent_indent=" " * 9)
    return "\n".join(lines)
