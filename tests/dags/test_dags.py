"""The DAG files: they load, serialise, keep the house's rules, and cost little to parse."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import Asset, AssetAlias, BaseSensorOperator
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DataInterval, TimeRestriction
from pendulum import UTC, DateTime

from pismo.dags import build_dags, close_dag
from pismo.runs.window import CLOSE_PARAMS, INGEST_PARAMS
from pismo_lake.settings.contracts import ContractRules
from pismo_lake.settings.deliveries import find_delivery
from pismo_lake.settings.schema_pull import SchemaPull

if TYPE_CHECKING:
    from airflow.sdk import DAG

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(ROOT / "dags")


@pytest.fixture
def ingest(bag: DagBag) -> DAG:
    return bag.dags["pismo_ingest_sandbox_s3"]


def test_every_dag_file_loads(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert sorted(bag.dags) == ["pismo_close_sandbox_s3", "pismo_doctor", "pismo_ingest_sandbox_s3"]


def test_every_dag_serialises(bag: DagBag) -> None:
    for dag in bag.dags.values():
        assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).dag_id == dag.dag_id


def test_house_rules(bag: DagBag) -> None:
    for dag in bag.dags.values():
        assert {"pismo"} < set(dag.tags)
        assert dag.doc_md
        assert dag.description
        assert dag.catchup is False
        if dag.dag_id == "pismo_doctor":
            continue
        assert dag.max_active_runs == (1 if "ingest" in dag.tags else 3)
        assert dag.has_on_failure_callback
        for task in dag.tasks:
            assert task.owner == "pismo"
            assert task.retries >= 2
            assert task.retry_policy is not None
            assert task.template_fields
            assert task.ui_color != "#fff"
            kind = task.operator_class if task.is_mapped else type(task)
            assert issubclass(kind, BaseSensorOperator) is kind.__name__.endswith("Sensor")


def test_every_field_of_a_form_says_its_name_its_meaning_and_an_example(bag: DagBag, examples: DagBag) -> None:
    assert "pismo_replay_acme_production" in examples.dags
    for dag in (*bag.dags.values(), *examples.dags.values()):
        for name in dag.params:
            schema = dag.params.get_param(name).schema
            assert schema["title"].startswith(f"{name}: "), dag.dag_id
            assert schema["section"], (dag.dag_id, name)
            about = schema["description_md"]
            given = schema["type"] == "boolean" or "examples" in schema or "enum" in schema
            assert about.endswith("."), (dag.dag_id, name)
            assert given or "For example `" in about, (dag.dag_id, name)


def test_a_file_that_cannot_be_landed_stops_no_step(bag: DagBag) -> None:
    """The check is a leaf: if it fails, all other tasks run, and their success does not hide it."""
    for dag, landing in (("ingest", "land_event_files"), ("close", "land_missing_files")):
        check = bag.dags[f"pismo_{dag}_sandbox_s3"].get_task("check_landing")
        assert check.upstream_task_ids == {landing}
        assert check.downstream_task_ids == set()
        assert check.landing_task_id == landing


def test_the_steps_stand_in_their_order(ingest: DAG) -> None:
    steps = ["find_new_files", "land_event_files", "index_publish_hour", "share_out_units", "flatten_publish_hour"]
    assert set(ingest.task_ids) == {*steps, "check_landing", "announce_rows"}
    for step, following in pairwise(steps):
        assert ingest.get_task(step).downstream_task_ids - {"check_landing", "announce_rows"} == {following}
    assert ingest.get_task("flatten_publish_hour").outlets == []
    (asset,) = ingest.get_task("announce_rows").outlets
    assert asset.name == "pismo_lake_sandbox_s3"


def test_closing_goes_step_by_step(bag: DagBag) -> None:
    dag = bag.dags["pismo_close_sandbox_s3"]
    assert dag.get_task("await_settled_day").downstream_task_ids == {"land_missing_files"}
    assert dag.get_task("land_missing_files").downstream_task_ids == {"index_missing_files", "check_landing"}
    assert dag.get_task("index_missing_files").downstream_task_ids == {"flatten_other_hours", "close_publish_day"}
    assert dag.get_task("flatten_other_hours").downstream_task_ids == set()
    assert dag.get_task("close_publish_day").downstream_task_ids == {"report_publish_day"}
    assert dag.get_task("close_publish_day").outlets == []
    assert dag.get_task("report_publish_day").downstream_task_ids == {"announce_day"}
    (days,) = dag.get_task("announce_day").outlets
    assert days.name == "pismo_days_sandbox_s3"
    (alias,) = dag.get_task("report_publish_day").outlets
    assert isinstance(alias, AssetAlias)
    asset = Asset(dag.get_task("report_publish_day").asset_name)
    assert asset.name == "pismo_lake_sandbox_s3"


def test_large_days_are_written_by_mapped_tasks_if_wanted() -> None:
    delivery = find_delivery(ROOT / "config" / "deliveries.yaml", "sandbox_s3")
    dag = close_dag(replace(delivery, close_tasks=16), "deliveries.yaml")
    assert dag.get_task("index_missing_files").downstream_task_ids == {"flatten_other_hours", "plan_close"}
    assert dag.get_task("plan_close").downstream_task_ids == {"write_day_files", "close_publish_day"}
    assert dag.get_task("write_day_files").downstream_task_ids == {"close_publish_day"}
    assert dag.get_task("close_publish_day").downstream_task_ids == {"report_publish_day"}
    assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).dag_id == dag.dag_id


def test_schemas_are_pulled_after_the_report_and_only_if_wanted(bag: DagBag) -> None:
    """A teardown: if the pull fails, the day is closed all the same."""
    assert "pull_schemas" not in bag.dags["pismo_close_sandbox_s3"].task_ids
    file = str(ROOT / "config" / "deliveries.yaml")
    rules = ContractRules("schemas", SchemaPull("s3://docs/schemas", "docs"))
    dag = close_dag(replace(find_delivery(file, "sandbox_s3"), contracts=rules), file)
    pull = dag.get_task("pull_schemas")
    assert (pull.upstream_task_ids, pull.downstream_task_ids) == ({"report_publish_day"}, set())
    assert (pull.is_teardown, pull.on_failure_fail_dagrun) == (True, False)
    assert pull.execution_timeout is not None
    assert "`schemas`, pulled from `s3://docs/schemas`" in (dag.doc_md or "")


def test_announcements_come_last_and_cannot_hide_a_failure(bag: DagBag) -> None:
    """Airflow leaves teardowns out when it judges a run."""
    for kind in ("ingest", "close"):
        dag = bag.dags[f"pismo_{kind}_sandbox_s3"]
        (last,) = [task for task in dag.tasks if task.task_id.startswith("announce_")]
        assert last.is_teardown
        assert not last.on_failure_fail_dagrun
        assert last.downstream_task_ids == set()
    assert bag.dags["pismo_ingest_sandbox_s3"].get_task("land_event_files").is_setup


def test_a_closing_run_is_a_calendar_day_that_can_be_backfilled(bag: DagBag) -> None:
    dag = DagSerialization.from_dict(DagSerialization.to_dict(bag.dags["pismo_close_sandbox_s3"]))
    assert dag.timetable.periodic
    first = dag.timetable.next_dagrun_info(
        last_automated_data_interval=DataInterval(DateTime(2026, 3, 13, tzinfo=UTC), DateTime(2026, 3, 14, tzinfo=UTC)),
        restriction=TimeRestriction(None, None, catchup=True),
    )
    assert first.data_interval.start == DateTime(2026, 3, 14, tzinfo=UTC)
    assert first.run_after == DateTime(2026, 3, 15, tzinfo=UTC)


def test_closing_has_a_deadline_that_tells_of_it(bag: DagBag) -> None:
    deadline = bag.dags["pismo_close_sandbox_s3"].deadline
    (deadline,) = deadline if isinstance(deadline, list) else [deadline]
    assert deadline.interval.total_seconds() == 8 * 3600
    assert deadline.callback.path == "pismo.notifications.delivery.DeliveryNotifier"
    assert deadline.callback.kwargs["delivery_name"] == "sandbox_s3"


def test_runs_know_the_params_of_their_dags(bag: DagBag) -> None:
    assert set(bag.dags["pismo_ingest_sandbox_s3"].params) == INGEST_PARAMS
    assert set(bag.dags["pismo_close_sandbox_s3"].params) == CLOSE_PARAMS


def test_an_invalid_delivery_breaks_only_its_own_dag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "config" / "deliveries.yaml").read_text()
    broken = "  broken:\n    organisation: TN-1\n    environment: staging\n    channel: s3\n    source: {}\n"
    (tmp_path / "deliveries.yaml").write_text(text + broken)
    monkeypatch.setenv("PISMO_DELIVERIES", str(tmp_path / "deliveries.yaml"))
    bag = DagBag(ROOT / "dags")
    assert bag.import_errors == {}
    assert set(bag.dags) == {
        "pismo_close_sandbox_s3", "pismo_ingest_sandbox_s3", "pismo_ingest_broken", "pismo_doctor",
    }  # fmt: skip
    problem = bag.dags["pismo_ingest_broken"].doc_md
    assert "environment is 'staging', allowed: sandbox, production" in problem
    assert "line " in problem


def test_a_notifier_that_cannot_be_imported_breaks_only_the_dags_of_its_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "config" / "deliveries.yaml").read_text().rstrip()
    other = text.partition("deliveries:\n")[2].replace("sandbox_s3:", "other:", 1)
    alerts = "    alerts:\n      - notifier: no_such_package.Notifier\n"
    (tmp_path / "deliveries.yaml").write_text(f"{text}\n{other}\n{alerts}")
    monkeypatch.setenv("PISMO_DELIVERIES", str(tmp_path / "deliveries.yaml"))
    bag = DagBag(ROOT / "dags")
    assert bag.import_errors == {}
    assert {name for name in bag.dags if name.startswith(("pismo_ingest_", "pismo_close_"))} == {
        "pismo_close_sandbox_s3", "pismo_ingest_sandbox_s3", "pismo_ingest_other",
    }  # fmt: skip
    assert "no_such_package.Notifier cannot be imported" in bag.dags["pismo_ingest_other"].doc_md


@pytest.mark.parametrize("file", ["pismo_ingest.py", "pismo_close.py"])
def test_parsing_imports_nothing_heavy(file: str) -> None:
    """Counted by module, not by time: the dag-processor parses this file again and again."""
    code = (
        "import sys, runpy; import airflow.sdk; before = set(sys.modules);"
        f"runpy.run_path({str(ROOT / 'dags' / file)!r});"
        "new = {name.split('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(new & {'boto3', 'botocore', 'aiobotocore', 'pandas', 'pyarrow', 'numpy', 'sqlalchemy', 'orjson',"
        " 's3fs', 'fsspec', 'matplotlib'}))"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'include'}{os.pathsep}{ROOT / 'plugins'}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).split(".")[0])
    return found


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("include/pismo_lake", {"airflow", "pismo", "pismo_sandbox", "pismo_demo"}),
        ("include/pismo_sandbox", {"airflow", "pismo", "pismo_lake", "pismo_demo"}),
        ("plugins/pismo", {"pismo_sandbox", "pismo_demo", "dags"}),
    ],
)
def test_arrows_point_one_way(package: str, forbidden: set[str]) -> None:
    paths = list((ROOT / package).rglob("*.py"))
    assert paths
    assert {str(path): imports(path) & forbidden for path in paths if imports(path) & forbidden} == {}


def test_modules_stay_small() -> None:
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for folder in ("include", "plugins", "dags")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {name: size for name, size in sizes.items() if size > 400} == {}


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> DagBag:
    monkeypatch.setenv("PISMO_DELIVERIES", str(ROOT / "config" / "examples.yaml"))
    return DagBag(ROOT / "dags")


def test_the_examples_have_a_dag_each(examples: DagBag) -> None:
    assert examples.import_errors == {}
    names = {"acme_production", "acme_sandbox", "globex_production", "initech_production"}
    each = {f"pismo_{kind}_{name}" for name in names for kind in ("ingest", "close")}
    by_hand = {"pismo_doctor", "pismo_replay_acme_production"}
    assert set(examples.dags) == each | by_hand
    for dag in examples.dags.values():
        again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert again.timetable.periodic is (again.dag_id not in by_hand)
        assert "invalid" not in again.tags


def test_notices_ring_beside_the_clock(examples: DagBag) -> None:
    quiet = examples.dags["pismo_ingest_acme_sandbox"]
    assert type(quiet.timetable).__name__ == "CronDataIntervalTimetable"
    for name in ("acme_production", "globex_production", "initech_production"):
        schedule = examples.dags[f"pismo_ingest_{name}"].timetable
        assert type(schedule).__name__ == "AssetOrTimeSchedule"
        (asset,) = schedule.asset_condition.objects
        (watcher,) = asset.watchers
        path, arguments = watcher.trigger.serialize()
        assert path == "pismo.triggers.notices_waiting.NoticesWaitingTrigger"
        assert arguments["delivery"] == name


def test_a_continuous_schedule_begins_the_next_run_at_once(tmp_path: Path) -> None:
    text = (ROOT / "config" / "deliveries.yaml").read_text()
    path = tmp_path / "deliveries.yaml"
    path.write_text(re.sub("    schedule: .*", "    schedule: '@continuous'", text))
    dag = build_dags(path)["pismo_ingest_sandbox_s3"]
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    assert type(timetable).__name__ == "ContinuousTimetable"
    over = DataInterval(DateTime(2026, 3, 1, 12, tzinfo=UTC), DateTime(2026, 3, 1, 12, 5, tzinfo=UTC))
    following = timetable.next_dagrun_info(
        last_automated_data_interval=over, restriction=TimeRestriction(dag.start_date, None, catchup=False)
    )
    assert following is not None
    assert following.data_interval.start == over.end
    assert following.run_after <= DateTime.now(UTC)


def test_tasks_that_connect_stand_in_the_deliverys_pool(examples: DagBag) -> None:
    dag = examples.dags["pismo_ingest_globex_production"]
    assert {task.task_id: task.pool for task in dag.tasks} == {
        "find_new_files": "pismo_sftp",
        "land_event_files": "pismo_sftp",
        "check_landing": "default_pool",
        "index_publish_hour": "default_pool",
        "share_out_units": "default_pool",
        "flatten_publish_hour": "default_pool",
        "announce_rows": "default_pool",
    }


def test_without_googles_packages_every_dag_loads_and_gcs_says_what_it_needs() -> None:
    """The packages are an extra: the import fails here as if they were not installed."""
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'google', 'grpc'} or name.startswith('airflow.providers.google.cloud'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        f"bag = DagBag({str(ROOT / 'dags')!r})\n"
        "assert bag.import_errors == {}, bag.import_errors\n"
        "assert len(bag.dags) == 10\n"
        "from pismo.connect.queue import open_queue\n"
        "from pismo.connect.source import open_source\n"
        "from pismo_lake.settings.deliveries import find_delivery\n"
        "from pismo_lake.errors import ConfigError\n"
        f"delivery = find_delivery({str(ROOT / 'config' / 'examples.yaml')!r}, 'initech_production')\n"
        "for ask in (open_source, open_queue):\n"
        "    try:\n"
        "        ask(delivery)\n"
        "    except ConfigError as error:\n"
        "        assert 'requirements-gcp.txt' in str(error), error\n"
        "    else:\n"
        "        raise AssertionError('it loaded')\n"
    )
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT / 'include'}{os.pathsep}{ROOT / 'plugins'}",
        "PISMO_DELIVERIES": str(ROOT / "config" / "examples.yaml"),
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
