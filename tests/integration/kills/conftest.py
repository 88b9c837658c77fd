"""Share a small lake, and the processes that run commands on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.small_feed import SmallLake
from tests.steps import Stepper

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> SmallLake:
    """Return a lake with no landed file."""
    return SmallLake(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def stepper(lake: SmallLake) -> Iterator[Stepper]:
    """Return the server that runs commands on the lake."""
    with Stepper(lake.root) as stepper:
        yield stepper
