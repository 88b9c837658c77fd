"""Lineage names tables, rows, columns and checks, and nothing of it is imported without its provider."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event as database_event
from tests.lakes import LakeUnderTest, event

from pismo.signals.lineage import (
    Lineage,
    lineage_of_build,
    lineage_of_close,
    lineage_of_report,
    operator_lineage,
    place_of,
)
from pismo_lake.hours import PublishDay
from pismo_lake.report.reconcile import reconcile

if TYPE_CHECKING:
    from pismo_lake.settings.deliveries import Delivery

ROOT = Path(__file__).resolve().parents[4]
DAY = PublishDay.parse("2026-03-01")


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("s3://bucket/a/b/", ("s3://bucket", "a/b")),
        ("abfss://box@account.dfs.core.windows.net/a", ("abfss://box@account.dfs.core.windows.net", "a")),
        ("/data/lake", ("file", "/data/lake")),
    ],
)
def test_places_are_written_as_openlineage_wants_them(uri: str, place: tuple[str, str]) -> None:
    assert place_of(uri) == place


def test_a_build_names_the_rows_that_its_run_wrote(lake: LakeUnderTest, delivery: Delivery) -> None:
    lake.ledger.run = "ingest one"
    lake.put(event("e-1"), event("e-2"))
    lake.ledger.run = "ingest two"
    lake.land({"main_stream/2026/3/1/13/a": event("e-3", domain="cards")})
    lake.build()
    found = lineage_of_build(delivery, lake.ledger, ["2026-03-01T12", "2026-03-01T13"])
    assert found is not None
    assert [(written.uri, written.rows) for written in found.outputs] == [
        (f"{delivery.lake}/events/domain=cards/event_type=pix_in-1", 1)
    ]
    lake.close("2026-03-01")
    found = lineage_of_close(delivery, lake.ledger, DAY)
    assert found is not None
    assert [written.rows for written in found.outputs] == [1, 2]
    (columns, _) = (written.columns for written in found.outputs)
    paths = {column.name: column.path for column in columns}
    assert (paths["data__account_id"], paths["org_id"], paths["_rescued"]) == ("data.account_id", "org_id", None)


def test_a_control_total_is_an_assertion(lake: LakeUnderTest, delivery: Delivery) -> None:
    lake.put(event("e-1"))
    lake.close("2026-03-01")
    report = reconcile(lake.settings, lake.ledger, DAY)
    found = operator_lineage(lineage_of_report(delivery, report, f"{delivery.lake}/reports/x.html"))
    (read,) = found.inputs
    checks = {each.assertion: each.success for each in read.inputFacets["dataQualityAssertions"].assertions}
    assert checks.keys() == {total.what for total in report.totals} | {"complete"}
    assert set(checks.values()) == {True}


def test_a_run_names_its_units_up_to_a_limit() -> None:
    units = tuple(f"2026-{number:04d}" for number in range(2_500))
    (facet,) = operator_lineage(Lineage((("file", "/in"),), (), delivery="acme", units=units)).run_facets.values()
    assert (facet.delivery, facet.unit_count) == ("acme", 2_500)
    assert facet.units == list(units[:1_000])
    assert operator_lineage(Lineage((("file", "/in"),), ())).run_facets == {}


def test_a_failure_is_no_failure_of_the_task(lake: LakeUnderTest, delivery: Delivery) -> None:
    def fail(*_: Any) -> None:
        msg = "the database is gone"
        raise OSError(msg)

    database_event.listen(lake.ledger.engine, "engine_connect", fail)
    assert lineage_of_close(delivery, lake.ledger, DAY) is None
    database_event.remove(lake.ledger.engine, "engine_connect", fail)
    assert operator_lineage(None) is None


def test_datasets_have_schema_and_origins_only_if_they_are_known() -> None:
    found = operator_lineage(Lineage((("file", "/in"),), ()))
    assert (found.inputs[0].name, found.outputs) == ("/in", [])


def test_nothing_of_openlineage_is_imported_without_its_provider() -> None:
    """The import fails here as if the provider were not installed."""
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith(('openlineage', 'airflow.providers.openlineage')):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "import pismo.operators\n"
        "# Airflow has read what the provider says of itself\n"
        "for name in [name for name in sys.modules if 'openlineage' in name]:\n"
        "    del sys.modules[name]\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from pismo.operators import BuildUnitsOperator, ReportPublishDayOperator\n"
        "from pismo.signals.lineage import is_wanted\n"
        "assert not is_wanted()\n"
        "task = BuildUnitsOperator(task_id='t', units=[], delivery_name='d', deliveries_file='f')\n"
        "assert task.get_openlineage_facets_on_complete(None) is None\n"
        "assert task.get_openlineage_facets_on_failure(None) is None\n"
        "assert not [name for name in sys.modules if 'openlineage' in name]\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'include'}{os.pathsep}{ROOT / 'plugins'}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
