"""Params select the events of a replay; a wrong Param is an error, not another replay."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

from pismo.dags.replay import PARAMS
from pismo.runs.replay import REPLAY_PARAMS, asked_replay, id_of_run, rate_of, selection_of
from pismo_lake.errors import ParamsError, SeenFileError

USUAL = {name: param.value for name, param in PARAMS.items()}


def context(**params: Any) -> Any:
    return {"params": USUAL | params}


def test_the_form_selects_events(tmp_path: Path) -> None:
    (tmp_path / "seen.txt").write_text("e-1\n")
    given = {"from": "2026-03-01T12:00:00Z", "to": "2026-03-01T14:00:00Z", "event_types": [" cards/* ", ""]}
    selection = selection_of(context(**given, seen=str(tmp_path / "seen.txt"), accounts=["7"]))
    assert str(selection) == (
        "published from 2026-03-01T12:00:00Z to 2026-03-01T14:00:00Z; types cards/*; 1 account(s); without 1 seen"
    )
    assert selection_of(context(event_ids=["e-1", "e-2 "])).event_ids == ("e-1", "e-2")


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({}, "name a range of time"),
        ({"fromm": "2026-03-01"}, "unknown Param fromm"),
        ({"from": "2026-03-01T12:00:00Z"}, "belong together"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "is empty"),
        ({"event_ids": ["e"], "where": ["x"]}, "COLUMN=VALUE"),
    ],
)
def test_a_wrong_form_is_refused(params: dict[str, Any], reason: str) -> None:
    with pytest.raises(ParamsError, match=reason):
        selection_of(context(**params))


def test_a_missing_file_of_ids_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SeenFileError, match="there is no such file of ids"):
        selection_of(context(event_ids=["e"], seen=str(tmp_path / "none")))


def test_the_rate_of_a_run_goes_before_that_of_the_delivery() -> None:
    assert rate_of(context(), None) is None
    assert rate_of(context(), 7.5) == 7.5
    assert rate_of(context(per_second=20), 7.5) == 20.0
    for wrong in (0, -1, True, "fast"):
        with pytest.raises(ParamsError, match="give a number above 0"):
            rate_of(context(per_second=wrong), None)


def test_a_run_has_one_replay() -> None:
    runs = [SimpleNamespace(dag_id="a", run_id=run) for run in ("one", "two", "one")]
    one, two, again = (id_of_run({"dag_run": run}) for run in runs)  # type: ignore[typeddict-item]
    assert one == again != two
    assert asked_replay(context(replay_id=" r-1 ")) == "r-1"
    assert asked_replay(context()) is None


def test_a_delivery_with_a_target_has_the_dag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).resolve().parents[4]
    text = (root / "config" / "deliveries.yaml").read_text().rstrip()
    (tmp_path / "deliveries.yaml").write_text(f"{text}\n    replay: {{target: ndjson, address: {tmp_path}/out}}\n")
    monkeypatch.setenv("PISMO_DELIVERIES", str(tmp_path / "deliveries.yaml"))
    bag = DagBag(root / "dags")
    assert bag.import_errors == {}
    dag = bag.dags["pismo_replay_sandbox_s3"]
    assert set(dag.params) == REPLAY_PARAMS == USUAL.keys()
    assert dag.params["dry_run"] is True
    assert dag.schedule is None
    assert dag.get_task("plan_replay").downstream_task_ids == {"send_events"}
    assert f"`ndjson {tmp_path}/out`" in str(dag.doc_md)
    for task in dag.tasks:
        assert task.retries >= 2
        assert task.retry_policy is not None
        assert task.ui_color != "#fff"
