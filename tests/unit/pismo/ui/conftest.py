"""A small lake with two deliveries, and a client that looks at its pages."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response
from tests.lakes import ORG, LakeUnderTest, at, event, key
from tests.page_server import known_dags

from pismo.ui import dag_runs, rights
from pismo.ui.app import make_app
from pismo.ui.dag_runs import StartedRun
from pismo.ui.notices import NoticeCounts, Notices
from pismo.ui.pages import Pages
from pismo.ui.reader import Reader
from pismo_lake.hours import PublishDay
from pismo_lake.report.reconcile import reconcile
from pismo_lake.report.write import write_report

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NOW = datetime(2026, 3, 5, 9, 30, tzinfo=UTC)
SECRET = "a-secret-of-a-payload"
ENTRY = """
  {name}:
    organisation: {org}
    environment: production
    channel: gcs
    conn_id: none
    source: {{bucket: none}}
    landing: {root}/landing
    lake: {root}/lake
    ledger_url: "{ledger}"
"""


class Client:
    """Asks an application without a server."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def get(self, path: str) -> Response:
        return self.request("GET", path)

    def request(self, method: str, path: str, form: Mapping[str, str] | None = None) -> Response:
        return asyncio.run(self._ask(method, path, form))

    async def _ask(self, method: str, path: str, form: Mapping[str, str] | None) -> Response:
        transport = ASGITransport(self._app, raise_app_exceptions=False)
        async with AsyncClient(transport=transport, base_url="http://lake") as client:
            return await client.request(method, path, data=form, headers={"Origin": "http://lake"})


class User:
    """A person who looks at pages."""

    def get_id(self) -> str:
        return "1"

    def get_name(self) -> str:
        return "somebody"


@dataclass(slots=True)
class Site:
    """Pages of a lake; `readable` are the DAGs that the person may read."""

    lake: LakeUnderTest
    client: Client
    app: FastAPI
    reader: Reader
    deliveries: Path
    readable: set[str] = field(default_factory=set)

    def text(self, path: str, status: int = 200) -> str:
        answer = self.client.get(f"/team/pismo{path}")
        assert answer.status_code == status, answer.text[-2000:]
        return answer.text


@pytest.fixture
def site(lake: LakeUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Pages below the path /team, of two closed days and an open one; the person may read the delivery `test`."""
    for day in (1, 3, 4, 5):
        raw = event(f"e-{day}", {"account_id": 7, "note": SECRET}, timestamp=at(12, day))
        lake.put(raw, key=key(12, "a", day))
    for day in (1, 4):
        date = PublishDay.parse(f"2026-03-{day:02}")
        lake.close(str(date))
        write_report(lake.settings.lake, reconcile(lake.settings, lake.ledger, date))
    deliveries = tmp_path / "deliveries.yaml"
    url = lake.ledger.engine.url.render_as_string(hide_password=False)
    entries = [ENTRY.format(name=name, org=ORG, root=lake.root, ledger=url) for name in ("test", "veiled")]
    deliveries.write_text("deliveries:" + "".join(entries) + "  broken: {organisation: 1}\n")
    reader = Reader(str(deliveries))
    app = make_app(pages=Pages(reader, lambda: NOW, NoticeCounts(lambda _: Notices(0, 0))))
    app.dependency_overrides[rights.get_user] = User
    outer = FastAPI()
    outer.mount("/team/pismo", app)
    readable = {"pismo_ingest_test", "pismo_close_test", "pismo_ingest_broken", "other"}

    def may_read_dag(dag_id: str, _: Any) -> bool:
        return dag_id in readable

    monkeypatch.setattr(rights, "may_read_dag", may_read_dag)
    monkeypatch.setattr(rights, "may_start_runs", lambda *_: True)
    monkeypatch.setattr(dag_runs, "find_dag", known_dags(str(deliveries)))
    started = StartedRun("manual__1", "queued", {"publish_day": "2026-03-04"}, None, None)
    monkeypatch.setattr(dag_runs, "find_started", lambda _, run_id: started if run_id == "manual__1" else None)
    monkeypatch.setattr(rights, "find_run", lambda *_: ({"publish_day": "2026-03-04"}, None))
    return Site(lake, Client(outer), app, reader, deliveries, readable)
