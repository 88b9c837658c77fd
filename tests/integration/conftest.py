"""Share fixtures of the tests with real Airflow."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.airflow_runs import DATABASE, migrated_database, retry_soon
from tests.page_lake import shared_page_lake

from pismo_demo import airflow_home, servers

if TYPE_CHECKING:
    from pathlib import Path

    from pismo_demo.airflow_home import Secrets


@pytest.fixture(scope="session")
def airflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated database of Airflow to copy into a home; pytest's processes share it."""
    base = tmp_path_factory.getbasetemp()
    return migrated_database(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)


@pytest.fixture
def retried_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Airflow retry tasks soon in the homes that the demo makes."""

    def make_home(home: Path, fresh: Secrets) -> None:
        airflow_home.make_home(home, fresh)
        retry_soon(home)

    monkeypatch.setattr(servers, "make_home", make_home)


@pytest.fixture
def ready_home(monkeypatch: pytest.MonkeyPatch, airflow_database: Path) -> None:
    """Let the homes that the demo makes have a migrated database too, which takes long to make."""

    def make_home(home: Path, fresh: Secrets) -> None:
        airflow_home.make_home(home, fresh)
        retry_soon(home)
        shutil.copyfile(airflow_database, home / DATABASE)

    monkeypatch.setattr(servers, "make_home", make_home)


@pytest.fixture(scope="session")
def page_deliveries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the deliveries file of the lake that pages show; pytest's processes share it, and only read it."""
    base = tmp_path_factory.getbasetemp()
    return shared_page_lake(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)
