"""A lake with its delivery, and a backend of Airflow's metrics that keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk._shared.observability.metrics import stats as shared
from tests.lakes import LakeUnderTest

from pismo_lake.settings.channels import Channel, Environment, GcsSource
from pismo_lake.settings.deliveries import Delivery

if TYPE_CHECKING:
    from pathlib import Path


class Recorder:
    """Keeps each call as (kind, name, value, tags)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, Any, dict[str, str]]] = []

    def incr(self, stat: str, count: int = 1, *, tags: Any = None) -> None:
        self.calls.append(("incr", stat, count, tags))

    def gauge(self, stat: str, value: float, *, tags: Any = None) -> None:
        self.calls.append(("gauge", stat, value, tags))

    def timing(self, stat: str, dt: Any, *, tags: Any = None) -> None:
        self.calls.append(("timing", stat, dt, tags))

    def values(self, kind: str) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for its_kind, name, value, tags in self.calls:
            assert tags["delivery"] == "test"
            more = ",".join(str(value) for key, value in tags.items() if key != "delivery")
            if its_kind == kind:
                found.setdefault(name + (f":{more}" if more else ""), []).append(value)
        return found


class Raises:
    """Refuses each metric."""

    def __getattr__(self, name: str) -> Any:
        msg = "no such sink: https://user:password@example.com"
        raise ConnectionError(msg)


@pytest.fixture
def use_stats(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that gives Airflow a backend of metrics for this test."""

    def use(backend: Any) -> Any:
        monkeypatch.setattr(shared, "_factory", lambda: backend)
        monkeypatch.setattr(shared, "_backend", None)
        return backend

    return use


@pytest.fixture
def stats(use_stats: Any) -> Recorder:
    found: Recorder = use_stats(Recorder())
    return found


@pytest.fixture
def lake(tmp_path: Path) -> LakeUnderTest:
    return LakeUnderTest(tmp_path)


@pytest.fixture
def delivery(lake: LakeUnderTest) -> Delivery:
    return Delivery(
        name="test", organisation="TN-1", environment=Environment.SANDBOX, channel=Channel.GCS, conn_id="c",
        landing=lake.settings.landing, lake=lake.settings.lake, source=GcsSource("b"), ledger_url="sqlite://",
    )  # fmt: skip
