"""Answer the requests for pages.

Each page is made in a thread of a small pool of our own: waiting pages take no thread of Airflow's API. FastAPI reads
the annotations of handlers at runtime, so this module must not have them as text.
"""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from pismo.ui.forms import RunRefusedError, read_form
from pismo.ui.links import Links
from pismo.ui.pages import Pages
from pismo.ui.reader import Reader
from pismo.ui.rights import GetUserDep, get_user
from pismo.ui.run_page import RunPage
from pismo_lake.errors import PismoError

_LOG = logging.getLogger(__name__)
_THREADS = 4
_LIMITER: RunVar[CapacityLimiter] = RunVar("pismo-pages")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""The headers of every answer: no script, nothing from elsewhere, nothing kept."""

Message = MutableMapping[str, Any]


class StrictHeaders:
    """Adds `HEADERS` to every answer of an application."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answer a request."""

        async def send_strictly(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower().encode() for name in HEADERS}
                kept = [(name, value) for name, value in message["headers"] if name.lower() not in names]
                own = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*kept, *own]
            await send(message)

        await self._app(scope, receive, send_strictly)


async def in_turn(work: Callable[..., str | Response], *arguments: Any, **options: Any) -> Response:
    """Make a page in a thread of our own pool, and wait for it without a thread."""
    try:
        limiter = _LIMITER.get()
    except LookupError:
        limiter = CapacityLimiter(_THREADS)
        _LIMITER.set(limiter)
    made = await to_thread.run_sync(partial(work, *arguments, **options), limiter=limiter)
    return made if isinstance(made, Response) else HTMLResponse(made)


def make_app(reader: Reader | None = None, pages: Pages | None = None) -> FastAPI:
    """Return the application of all pages; no route answers without a login."""
    made = pages or Pages(reader or Reader())
    app = FastAPI(title="Pismo lake", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(StrictHeaders)
    _add_pages(app, made)
    _add_runs(app, RunPage(made))
    _add_refusals(app, made)
    return app


def _add_pages(app: FastAPI, made: Pages) -> None:
    @app.get("/")
    async def home(request: Request, user: GetUserDep) -> Response:
        return await in_turn(made.home, _links(request), user)

    @app.get("/deliveries/{name}")
    async def delivery(request: Request, user: GetUserDep, name: str) -> Response:
        return await in_turn(made.delivery, _links(request), user, name)

    @app.get("/deliveries/{name}/days/{day}")
    async def day(request: Request, user: GetUserDep, name: str, day: str) -> Response:
        return await in_turn(made.day, _links(request), user, name, day)

    @app.get("/deliveries/{name}/days/{day}/report")
    async def report(request: Request, user: GetUserDep, name: str, day: str) -> Response:
        return await in_turn(made.report, _links(request), user, name, day)

    @app.get("/deliveries/{name}/files")
    async def files(
        request: Request, user: GetUserDep, name: str, key: str = "", hour: str = "", state: str = "", before: str = ""
    ) -> Response:
        return await in_turn(made.files, _links(request), user, name, key=key, hour=hour, state=state, before=before)

    @app.get("/deliveries/{name}/events")
    async def events(
        request: Request, user: GetUserDep, name: str, event_id: str = "", first: str = "", last: str = ""
    ) -> Response:
        return await in_turn(made.events, _links(request), user, name, event_id=event_id, first=first, last=last)

    @app.get("/deliveries/{name}/types")
    async def types(request: Request, user: GetUserDep, name: str, event: str = "") -> Response:
        return await in_turn(made.types, _links(request), user, name, event)

    @app.get("/runbooks/{name}", dependencies=[Depends(get_user)])
    async def runbook(request: Request, name: str) -> Response:
        return await in_turn(made.runbook, _links(request), name)

    @app.get("/dags/{dag_id}")
    async def dag(request: Request, user: GetUserDep, dag_id: str, run: str = "") -> Response:
        return await in_turn(made.dag, _links(request), user, dag_id, run)


def _add_runs(app: FastAPI, runs: RunPage) -> None:
    @app.get("/deliveries/{name}/run")
    async def show_run(request: Request, user: GetUserDep, name: str) -> Response:
        return await in_turn(runs.show, _links(request), user, name, dict(request.query_params))

    @app.post("/deliveries/{name}/run")
    async def start_run(request: Request, user: GetUserDep, name: str) -> Response:
        texts = await read_form(request)
        return await in_turn(runs.start, _links(request), user, name, texts, dict(request.headers))

    @app.get("/deliveries/{name}/started")
    async def started(request: Request, user: GetUserDep, name: str, dag: str = "", run: str = "") -> Response:
        return await in_turn(runs.follow, _links(request), user, name, dag, run)


def _add_refusals(app: FastAPI, made: Pages) -> None:
    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> HTMLResponse:
        return HTMLResponse(made.refusal(_links(request), error.status_code, str(error.detail)), error.status_code)

    @app.exception_handler(RunRefusedError)
    async def not_started(request: Request, error: RunRefusedError) -> HTMLResponse:
        return HTMLResponse(made.refused_run(_links(request), error.detail), error.status_code)

    @app.exception_handler(RequestValidationError)
    async def wrong(request: Request, error: RequestValidationError) -> HTMLResponse:
        names = ", ".join(sorted({str(found["loc"][-1]) for found in error.errors()}))
        return HTMLResponse(made.refusal(_links(request), 422, f"the address has a wrong parameter: {names}"), 422)

    @app.exception_handler(PismoError)
    async def unavailable(request: Request, error: PismoError) -> HTMLResponse:
        _LOG.warning("%s: %s", request.url.path, error)
        return HTMLResponse(made.refusal(_links(request), 503, str(error)), 503)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> HTMLResponse:
        _LOG.error("%s", request.url.path, exc_info=error)
        return HTMLResponse(made.refusal(_links(request), 500, type(error).__name__), 500)


def _links(request: Request) -> Links:
    return Links(str(request.scope.get("root_path", "")))
