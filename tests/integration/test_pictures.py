"""The pictures of the documentation show what the pages say today."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from httpx import ASGITransport, AsyncClient
from tests.page_server import a_run, known_dags, page_app
from tests.screenshots import LOOKS, PAGES, PICTURES, visible_text

from pismo.ui import dag_runs, rights

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def test_each_picture_is_current(page_deliveries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, run `make screenshots` and look at the pictures."""
    monkeypatch.setattr(rights, "may_read_dag", lambda *_: True)
    monkeypatch.setattr(rights, "may_start_runs", lambda *_: True)
    monkeypatch.setattr(dag_runs, "find_dag", known_dags(str(page_deliveries)))
    monkeypatch.setattr(dag_runs, "find_started", a_run)
    app = page_app(str(page_deliveries))

    async def read(path: str) -> Any:
        async with AsyncClient(transport=ASGITransport(app), base_url="http://lake") as client:
            return await client.get(f"/pismo/{path}")

    for name, path in PAGES.items():
        answer = asyncio.run(read(path))
        assert answer.status_code == 200, answer.text[-1000:]
        assert visible_text(answer.text, page_deliveries.parent) == (PICTURES / f"{name}.txt").read_text(), name
        for look in LOOKS:
            assert (PICTURES / f"{name}-{look.name}.png").stat().st_size > 1000
    assert len(list(PICTURES.iterdir())) == len(PAGES) * (1 + len(LOOKS))
