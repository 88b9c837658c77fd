"""A lake that pulls schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.published import Puller

if TYPE_CHECKING:
    from tests.lakes import LakeUnderTest


@pytest.fixture
def puller(lake: LakeUnderTest) -> Puller:
    return Puller(lake)
