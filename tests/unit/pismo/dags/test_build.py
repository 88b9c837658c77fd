"""`build_dags` gives a DAG file of three lines the DAGs of each delivery."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow.dag_processing.dagbag import DagBag

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[4]
DAG_FILE = '''\
"""Airflow DAGs of Pismo."""
from pismo.dags import build_dags
globals().update(build_dags("deliveries.yaml"))
'''


def write(folder: Path, deliveries: str) -> DagBag:
    (folder / "pismo_dags.py").write_text(DAG_FILE)
    (folder / "deliveries.yaml").write_text(deliveries)
    return DagBag(folder)


def test_the_dags_are_those_of_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = (ROOT / "config" / "examples.yaml").read_text(encoding="utf-8")
    built = write(tmp_path, examples)
    assert built.import_errors == {}
    monkeypatch.setenv("PISMO_DELIVERIES", str(tmp_path / "deliveries.yaml"))
    ours = DagBag(ROOT / "dags")
    assert built.dags.keys() == ours.dags.keys()
    for name, dag in built.dags.items():
        other = ours.dags[name]
        assert dag.task_ids == other.task_ids
        assert [dag.get_task(task).downstream_task_ids for task in dag.task_ids] == [
            other.get_task(task).downstream_task_ids for task in dag.task_ids
        ]
        # an absolute path: tasks run in other folders
        files = {task.deliveries_file for task in dag.tasks if not task.is_mapped}
        files |= {task.partial_kwargs["deliveries_file"] for task in dag.tasks if task.is_mapped}
        assert files == {str(tmp_path / "deliveries.yaml")}


def test_a_wrong_delivery_breaks_only_its_own_dag(tmp_path: Path) -> None:
    text = (ROOT / "config" / "deliveries.yaml").read_text(encoding="utf-8")
    bag = write(tmp_path, f"{text}  broken:\n    organisation: TN-1\n    environment: staging\n    channel: s3\n")
    assert bag.import_errors == {}
    assert set(bag.dags) == {"pismo_close_sandbox_s3", "pismo_ingest_sandbox_s3", "pismo_ingest_broken", "pismo_doctor"}
    assert bag.dags["pismo_doctor"].task_dict["examine_delivery"].expand_input.value == {
        "delivery_name": ["sandbox_s3"]
    }
