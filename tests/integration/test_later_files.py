"""Notices and files that come while a landing task works: the task takes the files to the lake too."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.test_notices import FOLDER, delivery, messages_in, sink
from tests.lakes import LakeUnderTest, event

from pismo.operators import LandEventFilesOperator
from pismo.operators import land as land_module
from pismo.operators import steps as steps_module
from pismo_lake.errors import RoleDenied, SourceUnavailable
from pismo_sandbox.s3.notices import furnish_notices
from pismo_sandbox.s3.server import CONSUMER_KEY, CONSUMER_SECRET, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pismo.runs.land import Landed
    from pismo_lake.settings.deliveries import Delivery

pytestmark = pytest.mark.integration


class Task:
    """A landing task, with files that are announced at the end of each of its landings."""

    def __init__(self, delivery: Delivery, sandbox: Any, announce: Any, lake: LakeUnderTest) -> None:
        self.delivery, self.sandbox, self.lake = delivery, sandbox, lake
        self.pushed: dict[str, Any] = {}
        self.coming: list[list[str]] = []
        self.heal = self.failing = False
        self.landings: list[Landed] = []
        self.folder = FOLDER
        self._sink = announce

    def announce(self, *names: str) -> None:
        for name in names:
            self._sink.put(f"{self.folder}/{name}", event(name))
        self._sink.announce()

    def run(self, **params: Any) -> Any:
        """Run the task; return the units that it leaves."""
        task = self

        class Land(LandEventFilesOperator):
            def read_delivery(self) -> Delivery:
                return task.delivery

            def land(self, *given: Any) -> Landed:
                landed = super().land(*given)
                task.landings.append(landed)
                if task.heal:
                    task.sandbox.policy.vanished.clear()
                if task.coming:
                    task.announce(*task.coming.pop(0))
                return landed

        run = SimpleNamespace(
            try_number=1, max_tries=0, xcom_push=lambda key, value: self.pushed.__setitem__(key, value)
        )
        context: Any = {"ti": run, "params": params, "dag_run": SimpleNamespace(dag_id="d", run_id="r")}
        return Land(task_id="land", delivery_name="test", deliveries_file="unused").execute(context)

    @property
    def ids(self) -> list[str]:
        return sorted(row["event_id"] for row in self.lake.rows())


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Task]:
    connection = {"conn_type": "aws", "login": CONSUMER_KEY, "password": CONSUMER_SECRET}
    monkeypatch.setenv("AIRFLOW_CONN_PISMO", json.dumps(connection | {"extra": {"region_name": "us-east-1"}}))
    with running_sandbox() as sandbox:
        sandbox.policy.list_allowed = False
        # moto keeps its queues for as long as the process lives
        queues = furnish_notices(sandbox, visibility_seconds=60, receives=20, name=f"-{uuid.uuid4().hex[:8]}")
        lake = LakeUnderTest(tmp_path)
        told = replace(
            delivery(sandbox, queues.queue_url), landing=lake.settings.landing, lake=lake.settings.lake,
            ledger_url=f"sqlite:///{tmp_path / 'ledger.db'}",
        )  # fmt: skip
        yield Task(told, sandbox, sink(sandbox, queues), lake)


def test_files_that_are_announced_while_it_works_are_in_the_lake_at_its_end(task: Task) -> None:
    task.announce("a", "b")
    task.coming = [["c"], ["d", "e"]]
    assert task.run() is None
    assert task.ids == ["a", "b", "c", "d", "e"]
    assert len(task.landings) == 3
    # the counts of the task are sums
    assert (task.pushed["counts"]["files"], task.pushed["counts"]["notices"]["messages"]) == (5, 5)
    assert task.pushed["counts"]["publish_hours"] == 1
    assert (task.pushed["indexed"]["files"], task.pushed["indexed"]["events"]) == (5, 5)
    assert task.delivery.notices is not None
    assert messages_in(task.sandbox, task.delivery.notices.queue) == 0


def test_a_later_file_that_fails_is_named_and_stops_nothing(task: Task) -> None:
    task.announce("a")
    task.sandbox.policy.vanished.add(f"{FOLDER}/bad")
    task.coming = [["bad", "c"], ["d"]]
    task.run()
    assert task.ids == ["a", "c", "d"]
    assert [(file["key"], file["tries"]) for file in task.pushed["failures"]] == [(f"{FOLDER}/bad", 1)]
    assert (task.pushed["counts"]["files"], task.pushed["counts"]["failed"]) == (3, 1)


@pytest.mark.parametrize("step", ["land", "carry"])
def test_an_error_of_a_later_landing_takes_nothing_from_the_first(
    task: Task, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], step: str
) -> None:
    """The task succeeds, so that the rows in the lake are announced; the next run takes the other files."""
    place: Any = land_module._LandOperator if step == "land" else steps_module
    real = getattr(place, step)

    def fail(*given: Any, **more: Any) -> Any:
        if task.failing and (task.landings if step == "land" else len(task.landings) > 1):
            msg = "sts:AssumeRole was refused"
            raise RoleDenied(msg)
        return real(*given, **more)

    monkeypatch.setattr(place, step, fail)
    task.failing = True
    task.announce("a")
    task.coming = [["b"]]
    task.run()
    assert task.ids == ["a"]
    assert task.pushed["built"]["rows"] == 1
    assert task.pushed["indexed"]["events"] == 1
    assert task.pushed["contract_changes"]
    assert "later files are left to the next run: sts:AssumeRole was refused" in capsys.readouterr().out
    task.failing = False
    task.run()
    assert task.ids == ["a", "b"]


def test_a_run_takes_no_more_messages_than_it_may(task: Task) -> None:
    assert task.delivery.notices is not None
    task.delivery = replace(task.delivery, notices=replace(task.delivery.notices, most=3))
    task.announce("a", "b")
    task.coming = [["c", "d"], ["e"]]
    task.run()
    assert (len(task.ids), task.pushed["counts"]["notices"]["messages"]) == (3, 3)
    task.run()
    assert task.ids == ["a", "b", "c", "d", "e"]


def test_it_announces_after_a_minute_although_notices_come_all_the_time(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(land_module, "_LATER_SECONDS", 0.0)
    task.announce("a")
    task.coming = [["b"]]
    task.run()
    assert task.ids == ["a"]


@pytest.mark.parametrize("params", [{"object_keys": [f"{FOLDER}/a"]}, {"force": True}], ids=["keys", "force"])
def test_a_run_for_certain_files_does_not_look_again(task: Task, params: dict[str, Any]) -> None:
    task.announce("a")
    task.coming = [["b"]]
    task.run(**params)
    assert task.ids == ["a"]


def test_a_queue_that_does_not_answer_at_the_second_look_fails_nothing(
    task: Task, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pismo.queues.sqs import SqsQueue

    def backlog(_: SqsQueue) -> int:
        if task.landings:
            msg = "the queue is gone"
            raise SourceUnavailable(msg)
        return 0

    monkeypatch.setattr(SqsQueue, "backlog", backlog)
    task.announce("a")
    task.run()
    assert task.ids == ["a"]
    assert "cannot look for more files: the queue is gone" in capsys.readouterr().out


def test_a_count_of_messages_that_nobody_gets_ends_the_looks(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    from pismo.queues.sqs import SqsQueue

    monkeypatch.setattr(SqsQueue, "backlog", lambda _: 1)
    task.announce("a")
    task.run()
    assert task.ids == ["a"]
    assert len(task.landings) == 2


@pytest.fixture
def listing(task: Task) -> Task:
    """Return the task of a delivery without notices; its files are of the present publish hour."""
    task.sandbox.policy.list_allowed = True
    task.delivery = replace(task.delivery, notices=None)
    now = datetime.now(UTC)
    task.folder = f"main_stream/{now.year}/{now.month}/{now.day}/{now.hour}"
    return task


def test_without_notices_new_files_of_the_present_hour_are_listed_again(listing: Task) -> None:
    listing.announce("a")
    listing.coming = [["b"], ["c", "d"]]
    assert listing.run() is None
    assert listing.ids == ["a", "b", "c", "d"]
    assert len(listing.landings) == 3
    assert (listing.pushed["counts"]["files"], listing.pushed["built"]["parts_built"]) == (4, 3)


def test_a_file_that_failed_is_no_reason_to_land_again(listing: Task) -> None:
    bad = f"{listing.folder}/bad"
    listing.sandbox.policy.vanished.add(bad)
    listing.announce("a", "bad")
    listing.run()
    assert listing.ids == ["a"]
    assert len(listing.landings) == 1
    assert [(file["key"], file["tries"]) for file in listing.pushed["failures"]] == [(bad, 1)]


def test_a_file_that_is_landed_after_its_failure_is_no_failure(listing: Task) -> None:
    listing.announce("a", "bad")
    listing.sandbox.policy.vanished.add(f"{listing.folder}/bad")
    listing.coming = [["b"]]
    listing.heal = True
    listing.run()
    assert listing.ids == ["a", "b", "bad"]
    assert listing.pushed["failures"] == []
    assert (listing.pushed["counts"]["files"], listing.pushed["counts"]["failed"]) == (3, 0)


def test_the_files_of_earlier_hours_are_not_listed_again(listing: Task) -> None:
    listing.folder = FOLDER
    listing.announce("a")
    listing.coming = [["b"]]
    listing.run(window_start="2026-03-01T09:00:00Z", window_end="2026-03-01T09:30:00Z")
    assert listing.ids == ["a"]
