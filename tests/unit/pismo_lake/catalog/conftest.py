"""Give the tests of tables a lake that has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.lakes import LakeUnderTest

from pismo_lake.settings.contracts import ContractRules
from pismo_lake.settings.tables import Tables

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tabled(tmp_path: Path) -> LakeUnderTest:
    """Return an empty lake with Iceberg tables; lists named `items` have tables of their own."""
    return LakeUnderTest(tmp_path, tables=Tables(), contracts=ContractRules(shipped=False, child_tables=("**.items",)))
