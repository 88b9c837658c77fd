"""Params select the publish hours of a run; a wrong Param is an error, not another run."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pismo.runs.refused import ParamsRefused, refuse_wrong_params
from pismo.runs.window import day_of, day_window, window_of
from pismo_lake.errors import ConfigError, ParamsError
from pismo_lake.settings.channels import Channel, Environment, GcsSource
from pismo_lake.settings.deliveries import Delivery

FEED = Delivery(
    name="x", organisation="TN-1", environment=Environment.SANDBOX, channel=Channel.GCS, conn_id="c", landing="raw",
    lake="lake", source=GcsSource("b"), ledger_url="sqlite://",
)  # fmt: skip


def context(**params: Any) -> Any:
    return {"params": params}


@pytest.mark.parametrize("params", [{"dryrun": True}, {"windowstart": "2026-03-01"}, {"publish_day": "2026-03-01"}])
def test_a_misspelt_param_of_an_ingest_run(params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"unknown Param {next(iter(params))}; valid names: dry_run, event_ids"):
        window_of(context(**params), FEED)


@pytest.mark.parametrize("ask", [day_of, day_window])
def test_a_misspelt_param_of_a_closing_run(ask: Any) -> None:
    with pytest.raises(ConfigError, match="unknown Param dryrun; valid names: dry_run, force, publish_day, relist"):
        ask(context(publish_day="2026-03-01", dryrun=True))


def test_a_day_that_has_not_begun_is_not_closed() -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(ConfigError, match=f"{tomorrow:%Y-%m-%d} has not begun"):
        day_of(context(publish_day=f"{tomorrow:%Y-%m-%d}"))
    today = datetime.now(UTC)
    assert str(day_of(context(publish_day=f"{today:%Y-%m-%d}"))) == f"{today:%Y-%m-%d}"


def test_the_first_run_of_a_continuous_schedule_looks_back_as_any_other() -> None:
    end = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)

    def hours(start: datetime) -> list[str]:
        interval = {"data_interval_start": start, "data_interval_end": end}
        return [str(hour) for hour in window_of({"params": {}} | interval, FEED).hours]  # type: ignore[arg-type]

    usual = hours(end)
    assert (usual[0], usual[-1]) == ("2026-03-01T08", "2026-03-01T13")
    # Airflow's zone may be another than UTC
    for start in (datetime(2019, 12, 31, 14, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)):
        assert hours(start) == usual
    assert len(hours(end - timedelta(days=10))) == len(usual) + 240


@pytest.mark.parametrize("names", [["object_keys"], ["event_ids"], ["object_keys", "event_ids"]])
def test_a_window_and_certain_files_do_not_fit_together(names: list[str]) -> None:
    given = {name: ["a"] for name in names}
    expected = rf"give either a window \(window_start, window_end\) or {' and '.join(names)}, not both"
    with pytest.raises(ParamsError, match=expected):
        window_of(context(window_start="2026-03-01T12:00:00Z", **given), FEED)
    assert window_of(context(window_start="", window_end=None, **given), FEED).hours == ()


def test_a_wrong_param_ends_the_task_with_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ParamsRefused) as ended, refuse_wrong_params(logging.getLogger("task")):
        window_of(context(window_start="yesterday"), FEED)
    assert (ended.value.code, ended.value.__cause__) == (1, None)
    (record,) = caplog.records
    assert record.getMessage() == "window_start is 'yesterday'; give an ISO 8601 time, e.g. 2026-03-01T12:00:00Z"
    assert record.exc_info is None
