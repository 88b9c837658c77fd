"""Share fixtures of the tests with real Airflow."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.airflow_runs import migrated_database

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def airflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated database of Airflow to copy into a home; pytest's processes share it."""
    base = tmp_path_factory.getbasetemp()
    return migrated_database(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)
