"""Serve the pages without Airflow's login, for a browser: of a lake of the tests, at a fixed time.

python -m tests.page_server <deliveries file> <port>
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from tests.page_lake import NOW

from pismo.ui import rights
from pismo.ui.app import make_app
from pismo.ui.pages import Pages
from pismo.ui.reader import Reader


class Somebody:
    """A user who may read every DAG."""

    def get_name(self) -> str:
        return "somebody"


def page_app(deliveries: str) -> FastAPI:
    """Return Airflow's place with the pages below it, open to everybody."""
    app = make_app(pages=Pages(Reader(deliveries), clock=lambda: NOW))
    app.dependency_overrides[rights.get_user] = Somebody
    outer = FastAPI()
    outer.mount("/pismo", app)
    return outer


def allow_everything() -> None:
    """Let everybody read every DAG, without Airflow's database."""
    permit: Any = lambda *_: True  # noqa: E731
    rights.may_read_dag = permit


if __name__ == "__main__":
    allow_everything()
    uvicorn.run(page_app(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
