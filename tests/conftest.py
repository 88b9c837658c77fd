"""Clear the caller's Airflow connections, AWS accounts and deliveries before each test."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from weakref import WeakSet

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import event
from sqlalchemy.engine import Engine
from tests.lakes import OPENED, LakeUnderTest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

# how long an example takes says nothing about it on a busy machine
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

ENGINES: WeakSet[Engine] = WeakSet()
"""The engines that this process has connected to a database."""

LONGEST_FIRST = (
    "kills/test_kills.py",
    "integration/test_channels.py",
    "kills/test_overtaken.py",
    "integration/test_polling_reader.py",
    "integration/test_feed.py",
    "integration/test_pages.py",
    "integration/test_close_dag.py",
    "integration/test_tables_dag.py",
    "integration/test_replay_dag.py",
    "integration/test_schema_pull.py",
    "integration/test_upgrade.py",
    "integration/test_signal_sinks.py",
    "integration/test_pictures.py",
    "integration/test_stores.py",
    "integration/test_airflow.py",
    "integration/test_wheel.py",
    "integration/test_postgres.py",
    "integration/test_polling_catalog.py",
    "integration/test_doctor.py",
    "integration/test_month.py",
    "property/test_lake_properties.py",
    "unit/test_same_lake.py",
    "unit/test_earlier_lake.py",
    "integration/test_tutorial.py",
    "integration/test_spark.py",
)
"""Files that would hold up the end of a parallel run if they came late.

Tests that wait for Airflow and tests that compute come in turn, so that the cores always have work.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest files first; the others stay in their order."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get("/".join(item.path.parts[-2:]), len(places)))


@event.listens_for(Engine, "engine_connect")
def _note_engine(connection: Connection) -> None:
    ENGINES.add(connection.engine)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Close the database connections that a failed test leaves open, else their warning fails the next test."""
    report = yield
    if report.failed:
        for engine in list(ENGINES):
            engine.dispose()
    return report


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AIRFLOW_CONN_", "AIRFLOW_VAR_", "AWS_", "PISMO_")):
            monkeypatch.delenv(name)
    # boto3 must not look for an instance's credentials
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent/config")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")


@pytest.fixture(autouse=True)
def closed_ledgers() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture
def lake(tmp_path: Path) -> LakeUnderTest:
    """Return an empty lake with its landing zone and ledger."""
    return LakeUnderTest(tmp_path)
