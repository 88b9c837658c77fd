"""Make the pages: check the right, ask the lake, fill a template."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from pismo.checks.latest import read_checks
from pismo.names import CLOSE, DOCTOR, INGEST, REPLAY
from pismo.ui import rights
from pismo.ui.calendar import weeks_of
from pismo.ui.links import RUNBOOKS, Links
from pismo.ui.notices import NoticeCounts, count_notices
from pismo.ui.runbooks import read_runbook
from pismo_lake import state, storage
from pismo_lake.errors import PismoError
from pismo_lake.hours import PublishDay
from pismo_lake.html.render import environment
from pismo_lake.ledger.replays import ReplayLedger
from pismo_lake.paths import reports_path, safe_segment
from pismo_lake.report.render import FOLDER as REPORT_FOLDER
from pismo_lake.report.render import HELPERS, plots
from pismo_lake.settings import Delivery, InvalidDelivery
from pismo_lake.state.files import STATES

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
    from jinja2 import Environment

    from pismo.ui.reader import Reader
    from pismo_lake.ledger import Ledger
    from pismo_lake.ledger.replays import ReplayRecord
    from pismo_lake.report.model import DayReport
    from pismo_lake.settings.lake import LakeSettings
    from pismo_lake.state import DayView

_HERE = Path(__file__).parent / "templates"
_SEARCH_DAYS = 7
_REPLAYS = 10
_PLAIN = (401, 403)
_LOGIN = "This page shows the state of your data, so it needs a login. Log in to Airflow, then load this page again."
_SAID = {
    401: ("Please log in", _LOGIN),
    403: ("Not for you", "You may not read the DAGs of this delivery. Ask an administrator of Airflow for that right."),
    404: ("Not here", "There is no such page."),
    503: ("No answer", "The lake or its ledger could not be read."),
}


class Pages:
    """The pages of all deliveries; `clock` tells the time that they are made for."""

    def __init__(
        self, reader: Reader, clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        notices: NoticeCounts | None = None,
    ) -> None:  # fmt: skip
        self._reader, self._clock = reader, clock
        self._notices = notices or NoticeCounts(count_notices)

    def home(self, links: Links, user: BaseUser) -> str:
        """Return the overview: a card for each delivery that the person may see."""
        cards = []
        for found in self._reader.deliveries():
            if not rights.may_read_delivery(found.name, user):
                continue
            cards.append(self._card(found))
        return self.fill("home.html.j2", links, cards=cards)

    def _card(self, found: Delivery | InvalidDelivery) -> dict[str, Any]:
        if isinstance(found, InvalidDelivery):
            return {"name": found.name, "problem": found.problem, "overview": None, "delivery": None}
        try:
            return {"problem": ""} | self._overview(found)
        except PismoError as error:
            return {"name": found.name, "problem": str(error), "overview": None, "delivery": found}

    def delivery(self, links: Links, user: BaseUser, name: str) -> str:
        """Return the page of a delivery."""
        delivery = self.require(name, user)
        checks = self._reader.answer(delivery, ("checks",), lambda settings, _: read_checks(settings))
        replays = self._reader.answer(delivery, ("replays", self._now()), _list_replays)
        return self.fill(
            "delivery.html.j2", links, tab="", checks=checks, doctor=DOCTOR, replays=replays,
            **self._overview(delivery),
        )  # fmt: skip

    def _overview(self, delivery: Delivery) -> dict[str, Any]:
        now = self._now()
        overview = self._reader.answer(
            delivery, ("overview", now), lambda settings, ledger: state.overview_of(settings, ledger, now)
        )
        shown = {"name": delivery.name, "delivery": delivery, "overview": overview}
        return shown | {"weeks": weeks_of(overview), "notices": self._notices.of(delivery)}

    def day(self, links: Links, user: BaseUser, name: str, day: str) -> str:
        """Return the page of a publish day."""
        delivery, date, now = self.require(name, user), _day(day), self._now()
        view = self._reader.answer(
            delivery, ("day", day, now), lambda settings, ledger: state.view_day(
                settings, ledger, date, now, organisation=delivery.organisation,
                environment=delivery.environment.value,
            ),
        )  # fmt: skip
        wrong = _runbooks_of(view.report) if view.report.over else []
        return self.fill(
            "day.html.j2", links, tab="day", name=name, delivery=delivery, view=view, report=view.report,
            plots=plots(view.report), runbooks=wrong, actions=_actions(links, name, view, now),
        )  # fmt: skip

    def report(self, links: Links, user: BaseUser, name: str, day: str) -> str:  # noqa: ARG002 - like the other pages
        """Return the day report as its run has written it."""
        delivery, date = self.require(name, user), _day(day)

        def read(settings: Any, _: Any) -> str:
            file = storage.join(settings.lake, reports_path(str(date)), f"{safe_segment(name)}.html")
            return storage.read_bytes(file).decode("utf-8", "replace")

        try:
            return self._reader.answer(delivery, ("report", day), read)
        except FileNotFoundError:
            raise HTTPException(404, f"no run has written a report of {date} yet") from None

    def files(
        self, links: Links, user: BaseUser, name: str, *, key: str, hour: str, state: str, before: str
    ) -> str:  # fmt: skip
        """Return the search for files."""
        from pismo_lake.state.files import list_files

        delivery, now = self.require(name, user), self._now()
        key, hour, problem, page = key.strip()[:1100], hour.strip(), "", None
        place = tuple(before.split(" ", 1)) if " " in before else None
        try:
            page = self._reader.answer(
                delivery, ("files", key, hour, state, before, now), lambda settings, ledger: list_files(
                    settings, ledger, now, text=key, hour=hour, state=state, before=place,  # type: ignore[arg-type]
                ),
            )  # fmt: skip
        except ValueError as error:
            problem = str(error)
        return self.fill(
            "files.html.j2", links, tab="files", name=name, delivery=delivery, page=page, problem=problem,
            asked={"key": key, "hour": hour, "state": state}, states=STATES,
        )  # fmt: skip

    def events(self, links: Links, user: BaseUser, name: str, *, event_id: str, first: str, last: str) -> str:
        """Return the search for an event."""
        delivery, now = self.require(name, user), self._now()
        last = last.strip() or str(PublishDay.of_moment(now))
        first = first.strip() or str(PublishDay.of_moment(now - timedelta(days=_SEARCH_DAYS - 1)))
        event_id, problem, found = event_id.strip(), "", None
        if event_id:
            try:
                found = self._reader.answer(
                    delivery, ("event", event_id, first, last),
                    lambda settings, ledger: state.find_copies(settings, ledger, event_id, first, last), keys=True,
                )  # fmt: skip
            except ValueError as error:
                problem = str(error)
        asked = {"event_id": event_id, "first": first, "last": last}
        return self.fill(
            "events.html.j2", links, tab="events", name=name, delivery=delivery, found=found, problem=problem,
            asked=asked,
        )  # fmt: skip

    def types(self, links: Links, user: BaseUser, name: str, event: str) -> str:
        """Return the list of event types, or one of them."""
        delivery = self.require(name, user)
        if not event:
            lines = self._reader.answer(delivery, ("types",), state.list_types)
            return self.fill("types.html.j2", links, tab="types", name=name, delivery=delivery, lines=lines)
        view = self._reader.answer(
            delivery, ("type", event), lambda settings, ledger: state.view_type(settings, ledger, event)
        )
        if view is None:
            raise HTTPException(404, f"the lake has no event type {event}")
        return self.fill("type.html.j2", links, tab="types", name=name, delivery=delivery, view=view)

    def runbook(self, links: Links, name: str) -> str:
        """Return a runbook."""
        text = read_runbook(name)
        if text is None:
            raise HTTPException(404, f"there is no runbook {name}")
        return self.fill("runbook.html.j2", links, text=text)

    def dag(self, links: Links, user: BaseUser, dag_id: str, run: str) -> str:
        """Return the tab of a DAG or of a run: its delivery, or the day that the run closes."""
        if not rights.may_read_dag(dag_id, user):
            raise HTTPException(403)
        kind = next((prefix for prefix in (INGEST, CLOSE, REPLAY) if dag_id.startswith(prefix)), "")
        name = dag_id.removeprefix(kind)
        if not kind or not isinstance(self._reader.find(name), Delivery):
            return self.fill("foreign.html.j2", links, dag_id=dag_id)
        if kind == CLOSE and run and (day := _day_of_run(dag_id, run)) is not None:
            return self.day(links, user, name, day)
        return self.delivery(links, user, name)

    def refusal(self, links: Links, status: int, detail: str) -> str:
        """Return the page of a request that is not answered."""
        title, text = _SAID.get(status, ("That did not work", "The page could not be made."))
        return self.fill("refusal.html.j2", links, title=title, text=text, detail="" if status in _PLAIN else detail)

    def refused_run(self, links: Links, reason: str) -> str:
        """Return the page of a run that a person may not start."""
        return self.fill("refusal.html.j2", links, title="Not started", text=reason, detail="")

    def require(self, name: str, user: BaseUser) -> Delivery:
        """Return a delivery that the person may see."""
        if not rights.may_read_delivery(name, user):
            raise HTTPException(403)
        delivery = self._reader.find(name)
        if delivery is None:
            raise HTTPException(404, f"no delivery {name} in the deliveries file")
        if isinstance(delivery, InvalidDelivery):
            raise HTTPException(503, delivery.problem)
        return delivery

    def _now(self) -> datetime:
        """Return the time to the minute, so that equal questions have equal answers."""
        return self._clock().replace(second=0, microsecond=0)

    def fill(self, template: str, links: Links, **values: Any) -> str:
        """Return a page that is made from a template."""
        return _templates().get_template(template).render(links=links, now=self._clock(), **values)


@lru_cache(maxsize=1)
def _templates() -> Environment:
    made = environment(_HERE, REPORT_FOLDER)
    made.globals |= HELPERS
    return made


def _list_replays(settings: LakeSettings, ledger: Ledger) -> list[ReplayRecord]:
    """Return the last replays of a delivery, the newest first."""
    return ReplayLedger(ledger, settings.lake, settings.delivery).list_newest(_REPLAYS)


def _day(text: str) -> PublishDay:
    try:
        return PublishDay.parse(text)
    except ValueError as error:
        raise HTTPException(404, str(error)) from None


def _day_of_run(dag_id: str, run: str) -> str | None:
    """Return the publish day that a run of a close DAG is for."""
    found = rights.find_run(dag_id, run)
    if found is None:
        return None
    params, logical = found
    if params.get("publish_day"):
        return str(params["publish_day"])[:10]
    return None if logical is None else str(logical.date())


def _runbooks_of(report: DayReport) -> list[tuple[str, str]]:
    """Return the runbooks for the faults of a day."""
    states = {file.state for file in report.open_files}
    needed = {
        "missing": bool(report.gaps) or any("not landed" in text for text in states),
        "file": any("readable" in text or "not indexed" in text for text in states),
        "stray": bool(report.stray_files),
        "day": not report.balanced,
    }
    return [RUNBOOKS[name] for name, holds in needed.items() if holds]


def _actions(links: Links, name: str, view: DayView, now: datetime) -> list[tuple[str, str]]:
    """Return (label, address of the page that starts it) of the runs for a day, the likeliest first."""
    report = view.report
    day = PublishDay.parse(report.publish_date)
    start, end = day.hours[0].start, min(day.hours[-1].plus(1).start, now)
    window = {"window_start": f"{start:%Y-%m-%dT%H:%M:%SZ}", "window_end": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
    ingest = ("Load the day's new files", links.start(name, "ingest", **window))
    close = ("Close the day again" if report.closed else "Close the day", links.start(name, "close", publish_day=day))
    force = ("Build the day again", links.start(name, "close", publish_day=day, force=True))
    return [close, ingest, force] if report.over else [ingest]
