"""Kill each command before its durable steps, and run it again: the lake is whole.

PISMO_EVERY_STEP=1 kills it before each step (`make soak`), else before one step of each sort.
"""

from __future__ import annotations

import json
import random
import re
import signal
from typing import TYPE_CHECKING

import pytest
from tests.small_feed import DAY
from tests.steps import EVERY_STEP

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.small_feed import SmallLake
    from tests.steps import Stepper

pytestmark = pytest.mark.integration
RANDOM = re.compile(r"[0-9a-f]{32}|[0-9a-f]{10}(?=\.parquet)|\d{12}(?=\.json)")
LASTING = {"rename", "link", "remove", "close", "rmdir", "commit"}
REPEATED = 2
"""How many steps are chosen of the sorts that a command before had too."""


@pytest.fixture(scope="module", autouse=True)
def states(lake: SmallLake, stepper: Stepper) -> None:
    """Make the states that the commands start from."""
    lake.keep("empty")
    run(stepper, "flatten", lake.source("first"), "--jobs", "1", *lake.options)
    lake.keep("flattened")
    run(stepper, "close", "--date", DAY, *lake.options)
    lake.keep("closed")
    run(stepper, "flatten", lake.source("late"), "--jobs", "1", *lake.options)
    lake.keep("late")
    for path in lake.root.glob("ledger.db*"):
        path.unlink()
    lake.keep("lost")


def run(stepper: Stepper, *arguments: str) -> tuple[str, ...]:
    done = stepper.run(*arguments)
    assert done.code == 0, done.output
    return done.steps


COMMANDS: dict[str, tuple[str, Callable[[SmallLake], tuple[str, ...]]]] = {
    "flatten": ("empty", lambda lake: ("flatten", lake.source("first"), "--jobs", "1")),
    "flatten a late file": ("closed", lambda lake: ("flatten", lake.source("late"), "--jobs", "1")),
    "close": ("flattened", lambda _: ("close", "--date", DAY)),
    "close with a late file": ("late", lambda _: ("close", "--date", DAY)),
    "erase": ("late", lambda _: ("erase", "--event-id", "e-1", "--event-id", "e-4", "--reference", "t", "--raw")),
    "ledger rebuild": ("lost", lambda _: ("ledger", "rebuild")),
}


@pytest.fixture(scope="module")
def sorts() -> set[str]:
    """Return the sorts of steps before which a command was killed already."""
    return set()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if "late" in name else name for name in COMMANDS]
)
def test_killed_before_each_step_and_run_again(lake: SmallLake, stepper: Stepper, sorts: set[str], name: str) -> None:
    start, arguments = COMMANDS[name]
    command = (*arguments(lake), *lake.options)
    lake.set_back(start)
    steps = run(stepper, *command)
    expected, ids = lake.digest(), lake.event_ids()
    assert lake.temporary() == []
    killed, wrong = 0, dict[str, str]()
    chosen = list(range(1, len(steps) + 1)) if EVERY_STEP else _choose(steps, sorts)
    for number in chosen:
        lake.set_back(start)
        died = stepper.run(*command, kill=number)
        killed += died.code == -signal.SIGKILL
        step = f"{number}: {died.steps[-1]}"
        again = stepper.run(*command)
        mended = stepper.run("check", "--repair", "--json", *lake.options)
        found = json.loads(mended.output)
        left = json.loads(stepper.run("check", "--json", *lake.options).output) if found else []
        if again.code or mended.code or left or lake.temporary():
            wrong[step] = f"{again.output}\n{mended.output}\n{left}\n{lake.temporary()}"
        elif lake.digest() != expected or lake.event_ids() != ids:
            now = lake.digest()
            wrong[step] = str({path for path in now | expected if now.get(path) != expected.get(path)})
    assert wrong == {}
    # steps of threads side by side come in any order, and their number is the same
    assert killed == len(chosen)


def _choose(steps: tuple[str, ...], sorts: set[str]) -> list[int]:
    """Return the number of one step of each sort that is new, and of a few others; note the sorts."""
    found: dict[str, int] = {}
    before = ""
    for number, step in enumerate(steps, 1):
        kind, _, path = step.partition(" ")
        folder = "/".join(RANDOM.sub("*", path).split("/")[:2])
        sort = f"commit after {before}" if kind == "commit" else f"{kind} {folder}"
        if kind in LASTING and not path.endswith(".tmp"):
            found.setdefault(sort, number)
            before = before if kind == "commit" else sort
    known = sorted(found[sort] for sort in found.keys() & sorts)
    fresh = [found[sort] for sort in found.keys() - sorts]
    sorts |= found.keys()
    return sorted(fresh + random.Random(len(steps)).sample(known, min(len(known), REPEATED)))
