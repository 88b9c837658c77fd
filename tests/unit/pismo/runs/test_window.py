"""Params select the publish hours of a run; a wrong Param is an error, not another run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pismo.runs.window import day_of, day_window, window_of
from pismo_lake.errors import ConfigError
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
