"""The trigger of a run that waits for files looks again and again at the simulated S3."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import event
from tests.waiting import PATIENCE

from pismo.runs import find
from pismo.triggers import NewFilesTrigger
from pismo_lake.ledger import Ledger
from pismo_sandbox.feed.events import ORGANISATION
from pismo_sandbox.s3.server import ACCOUNT, CONSUMER_KEY, CONSUMER_SECRET, running_sandbox

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def test_it_keeps_its_source_open_and_ends_with_the_first_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    def count(delivery: Any) -> Any:
        opened.append(opening(delivery))
        return opened[-1]

    opening = find.open_source
    monkeypatch.setattr(find, "open_source", count)
    connection = {"conn_type": "aws", "login": CONSUMER_KEY, "password": CONSUMER_SECRET}
    monkeypatch.setenv("AIRFLOW_CONN_PISMO", json.dumps(connection | {"extra": {"region_name": "us-east-1"}}))
    with running_sandbox() as sandbox:
        (tmp_path / "deliveries.yaml").write_text(
            f"""
deliveries:
  waits:
    organisation: {ORGANISATION}
    environment: sandbox
    channel: s3
    conn_id: pismo
    source: {{pismo_account_id: "{ACCOUNT}", endpoint_url: "{sandbox.endpoint}", region: us-east-1}}
    landing: {tmp_path}/landing
    lake: {tmp_path}/lake
    ledger_url: sqlite:///{tmp_path}/ledger.db
"""
        )
        Ledger.open(f"sqlite:///{tmp_path}/ledger.db").close()
        trigger = NewFilesTrigger(
            str(tmp_path / "deliveries.yaml"), "waits", ["2026-03-01T09"], time.time() + PATIENCE, poll_seconds=0.01
        )
        assert [trigger._look(), trigger._look()] == [0, 0]
        body = event("e-1")
        sandbox.admin("s3").put_object(Bucket=sandbox.policy.bucket, Key="main_stream/2026/3/1/9/a", Body=body)
        assert asyncio.run(_first(trigger)) == {"status": "found", "files": 1}
        assert len(opened) == 1
        # the next look opens it again
        assert trigger._look() == 1
        assert len(opened) == 2


async def _first(trigger: NewFilesTrigger) -> Any:
    events = trigger.run()
    found = await asyncio.wait_for(anext(events), PATIENCE)
    await events.aclose()
    return found.payload
