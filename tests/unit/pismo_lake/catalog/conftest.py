"""Give the tests of tables a lake that has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.kept_lake import KEPT
from tests.lakes import LakeUnderTest, at, event, key

from pismo_lake.settings.contracts import ContractRules
from pismo_lake.settings.tables import Tables

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tabled(tmp_path: Path) -> LakeUnderTest:
    """Return an empty lake with Iceberg tables; lists named `items` have tables of their own."""
    return LakeUnderTest(tmp_path, tables=Tables(), contracts=ContractRules(shipped=False, child_tables=("**.items",)))


@pytest.fixture
def keeping(tmp_path: Path) -> LakeUnderTest:
    """Return a lake with three hours, that keeps replaced files for older snapshots."""
    lake = LakeUnderTest(tmp_path, tables=KEPT, contracts=ContractRules(shipped=False))
    lake.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in (3, 4, 5)})
    lake.build()
    return lake
