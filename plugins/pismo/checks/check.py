"""One check and the table of all of them."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pismo_lake.errors import PismoError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_WIDTH = 100


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
    """Do something; its answer is what was seen. Foreign errors show their kind alone: their text may hold anything."""
    try:
        return Check(name, State.PASS, work())
    except optional as error:
        return Check(name, State.OPTIONAL, str(error), advice)
    except PismoError as error:
        return Check(name, State.FAIL, str(error), advice)
    except Exception as error:  # noqa: BLE001 - a doctor does not die of what it finds
        return Check(name, State.FAIL, type(error).__name__, advice)


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
