"""Register the pages with Airflow: the app, an entry in the navigation, and tabs on DAGs and runs.

Every process of Airflow imports this module, and only the api-server needs the app. So the app is made at its first
request.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

from pismo.names import PAGES
from pismo.operators.links import DayReportLink

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from fastapi import FastAPI

    Message = MutableMapping[str, Any]


class LazyApp:
    """An ASGI application that is made at its first request."""

    @cached_property
    def app(self) -> FastAPI:
        """The application."""
        from pismo.ui.app import make_app

        return make_app()

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answer a request."""
        await self.app(scope, receive, send)


class PismoPages(AirflowPlugin):
    """The pages *Pismo lake*."""

    name = "pismo_pages"
    fastapi_apps = [{"app": LazyApp(), "url_prefix": PAGES, "name": "Pismo lake"}]  # noqa: RUF012 - Airflow's form
    # without a slash in front: behind a proxy, Airflow may be below a path
    external_views = [  # noqa: RUF012 - Airflow's form
        {
            "name": "Pismo lake", "href": "pismo/", "destination": "nav", "category": "browse",
            "url_route": "pismo-lake",
        },
        {"name": "Pismo", "href": "pismo/dags/{DAG_ID}", "destination": "dag", "url_route": "pismo-dag"},
        {
            "name": "Pismo", "href": "pismo/dags/{DAG_ID}?run={RUN_ID}", "destination": "dag_run",
            "url_route": "pismo-run",
        },
    ]  # fmt: skip
    operator_extra_links = [DayReportLink()]  # noqa: RUF012 - Airflow's form
