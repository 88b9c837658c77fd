"""Let Airflow close a whole day, after a dry run that only shows the plan."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from pismo_demo.errors import DemoError
from pismo_demo.ingestion import ask_again, follow, make_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from pathlib import Path

    from pismo_demo.airflow_api import AirflowApi

_BUSY_SECONDS = 600.0
_PLAN_TASK = "await_settled_day"
_PLAN = re.compile(r"(DRY RUN|land|index|build): ")
# there may be no hours of other days to build
_MAY_SKIP = frozenset({"flatten_other_hours"})


@dataclass(frozen=True, slots=True)
class ClosedDay:
    """A closed day: its verdict, its report, and the plan that a dry run showed before."""

    day: date
    verdict: str
    report: Path
    run_id: str
    seconds: float
    plan: tuple[str, ...]

    def __str__(self) -> str:
        """Return the plan in short, the verdict, and the path of the report."""
        of_hours = re.compile(rf"build: {self.day}T")
        plan = [f"    {line}" for line in self.plan if not of_hours.match(line)]
        more = [f"    … and {len(self.plan) - len(plan)} publish hours, in the log of {_PLAN_TASK}"]
        verdict = f"  {self.day} is {self.verdict}. Its report: {self.report}"
        return "\n".join(["  The dry run before it changed nothing. Its plan:", *plan, *more, verdict])


class Closing:
    """The runs of the close DAG for one day: a dry run, then the close."""

    def __init__(self, api: AirflowApi, delivery: str, day: date) -> None:
        self._api, self._delivery, self._day = api, delivery, day
        self.dag_id = f"pismo_close_{delivery}"
        self.dry_run = ""
        """The id of the dry run; empty before its start."""

    def start_dry_run(self) -> None:
        """Start a dry run, which can go on beside the ingestion.

        It has the logical date of the day, so that the scheduler starts no run of its own for that day.
        """
        midnight = datetime.combine(self._day, time(), UTC)
        conf = {"publish_day": str(self._day), "dry_run": True}
        self.dry_run = make_run(self._api, self.dag_id, conf, seconds=_BUSY_SECONDS, logical_date=midnight)
        ask_again(lambda: self._api.unpause(self.dag_id), seconds=_BUSY_SECONDS)

    def close(self, lake: Path, say: Callable[[str], None], *, seconds: float) -> ClosedDay:
        """Wait for the dry run, close the day, and return the results.

        Raises:
            DemoError: a run failed, or there is no report.
        """
        plan = self._read_plan(seconds)
        run_id = make_run(self._api, self.dag_id, {"publish_day": str(self._day)}, seconds=seconds)
        took = follow(self._api, self.dag_id, run_id, say, seconds=seconds, may_skip=_MAY_SKIP)
        folder = lake / "reports" / f"publish_date={self._day}"
        report = folder / f"{self._delivery}.html"
        try:
            verdict = str(json.loads(report.with_suffix(".json").read_text())["verdict"])
        except (OSError, ValueError, KeyError) as error:
            msg = f"no report of {self._day} in {folder}: {error}"
            raise DemoError(msg) from error
        return ClosedDay(self._day, verdict, report, run_id, took, plan)

    def _read_plan(self, seconds: float) -> tuple[str, ...]:
        follow(self._api, self.dag_id, self.dry_run, lambda _: None, seconds=seconds, may_skip=None)
        lines = ask_again(self._read_log, seconds=seconds)
        return tuple(line for line in lines if _PLAN.match(line))

    def _read_log(self) -> list[str]:
        """Return the messages of the task that shows the plan of the dry run."""
        tasks = self._api.tasks(self.dag_id, self.dry_run)
        task = next(task for task in tasks if task.task_id == _PLAN_TASK)
        return self._api.messages(self.dag_id, self.dry_run, task)
