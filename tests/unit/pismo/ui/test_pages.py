"""The pages: who may see them, what they say, and where their links lead."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount
from tests.lakes import at, event, key
from tests.page_labels import find_faults
from tests.unit.pismo.ui.conftest import NOW, SECRET, Client, Site, User

from pismo.checks.check import Check, State
from pismo.checks.latest import keep_checks
from pismo.ui import dag_runs, rights
from pismo.ui.app import HEADERS, make_app
from pismo.ui.cache import Cache
from pismo.ui.dag_runs import StartedRun
from pismo.ui.forms import TOKEN, make_token
from pismo.ui.notices import NoticeCounts, Notices
from pismo.ui.pages import Pages
from pismo.ui.reader import Reader
from pismo_lake import storage
from pismo_lake.ledger.replays import ReplayLedger
from pismo_lake.paths import doctor_path
from pismo_lake.replay import plan_replay
from pismo_lake.replay.asked import Asked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EVIL = "<script>alert(1)</script>"
EVERY = (
    "/", "/deliveries/test", "/deliveries/test/days/2026-03-04", "/deliveries/test/days/2026-03-05",
    "/deliveries/test/days/2026-03-04/report", "/deliveries/test/files", "/deliveries/test/events?event_id=e-4",
    "/deliveries/test/types", "/deliveries/test/types?event=pix/pix_in-1", "/runbooks/dead-letters", "/dags/other",
    "/dags/pismo_ingest_test", "/dags/pismo_close_test?run=manual", "/deliveries/test/run?dag=ingest",
    "/deliveries/test/run?dag=close&publish_day=2026-03-04&force=true", "/deliveries/test/run?dag=doctor",
    "/deliveries/test/started?dag=close&run=manual__1",
)  # fmt: skip


def test_every_route_needs_a_login(tmp_path: Path) -> None:
    app = make_app(Reader(str(tmp_path / "none.yaml")))
    assert not [route for route in app.routes if isinstance(route, Mount)]
    routes = [route for route in app.routes if isinstance(route, APIRoute)]
    assert len(routes) == len(app.routes)
    client = Client(app)
    for route in routes:
        path = re.sub(r"\{\w+\}", "x", route.path)
        for method in route.methods:
            answer = client.request(method, path)
            assert answer.status_code == 401, path
            assert "Log in to Airflow" in answer.text
            assert answer.headers["content-type"].startswith("text/html")
            assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def test_there_are_no_documents_of_the_api(site: Site) -> None:
    for path in ("/docs", "/redoc", "/openapi.json"):
        site.text(path, 404)


@pytest.mark.parametrize("path", EVERY)
def test_every_page_is_strict_and_without_payloads(site: Site, path: str) -> None:
    answer = site.client.get(f"/team/pismo{path}")
    assert answer.status_code == 200, answer.text[-500:]
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert SECRET not in answer.text
    assert "<script" not in answer.text
    assert not re.findall(r"https?://(?!www\.w3\.org)", answer.text)
    assert not re.findall(r"\son\w+=", answer.text)
    assert find_faults(answer.text) == []
    # Airflow's frame forbids new windows and changes of the whole window: such a link would do nothing
    assert "target=" not in answer.text
    to_airflow = re.findall(r'<a href="/team/(?!pismo/)[^"]+"[^>]*>', answer.text)
    assert all("in a tab of its own" in link for link in to_airflow), to_airflow


@pytest.mark.parametrize("path", [path for path in EVERY if "report" not in path])
def test_every_link_stays_below_the_path_of_airflow(site: Site, path: str) -> None:
    links = re.findall(r'(?:href|action)="([^"]+)"', site.text(path))
    own = [link for link in links if not link.startswith(("#", "/team/"))]
    # a runbook names its neighbours
    assert all("runbooks" in path and re.fullmatch("[a-z-]+", link) for link in own)


def test_a_person_sees_the_deliveries_of_the_dags_that_they_may_read(site: Site) -> None:
    text = site.text("/")
    assert "/team/pismo/deliveries/test" in text
    assert "veiled" not in text
    for route in site.app.routes:
        assert isinstance(route, APIRoute)
        if route.path.startswith("/deliveries/"):
            path = route.path.format(name="veiled", day="2026-03-04") + "?dag=close&run=manual__1"
            for method in route.methods:
                answer = site.client.request(
                    method, f"/team/pismo{path}", {"dag": "close"} if method == "POST" else None
                )
                assert (answer.status_code, "<h1>Not for you</h1>" in answer.text) == (403, True), path
    site.text("/dags/pismo_ingest_veiled", 403)
    site.readable.add("pismo_ingest_veiled")
    assert "deliveries/veiled" in site.text("/")
    site.text("/deliveries/veiled")


def test_the_right_to_one_dag_is_no_right_to_a_delivery(site: Site) -> None:
    site.readable.clear()
    site.readable.add("pismo_close_test")
    site.text("/dags/pismo_close_test", 403)
    assert "no delivery that you may see" in site.text("/")


def test_a_wrong_delivery_breaks_its_own_card_only(site: Site) -> None:
    text = site.text("/")
    assert "delivery broken (line" in text
    assert "2026-03-04" in text
    assert "delivery broken (line" in site.text("/deliveries/broken", 503)


def test_the_overview_says_whether_days_are_complete(site: Site) -> None:
    text = site.text("/deliveries/test")
    assert 'aria-label="Wed, 4 March 2026: complete, 1 files"' in text
    assert 'aria-label="Tue, 3 March 2026: open, 1 files"' in text
    assert 'aria-label="Mon, 2 March 2026: no files"' in text
    assert 'title="Sat, 28 February 2026: before the first file"' in text


def test_a_day_leads_to_its_neighbours_its_runs_and_the_forms_that_reload_it(site: Site) -> None:
    site.lake.ledger.run = "pismo_close_test manual__1"
    site.lake.close("2026-03-04", force=True)
    text = site.text("/deliveries/test/days/2026-03-04")
    assert 'rel="prev"' in text
    assert "/team/pismo/deliveries/test/days/2026-03-05" in text
    assert '/team/dags/pismo_close_test/runs/manual__1"' in text
    forms = re.findall(r'<li><a href="/team(/pismo/deliveries/test/run[?][^"]+)">[^<]+</a>', text)
    found = [dict(parse_qsl(urlsplit(html.unescape(address)).query)) for address in forms]
    assert found == [
        {"dag": "close", "publish_day": "2026-03-04"},
        {"dag": "ingest", "window_start": "2026-03-04T00:00:00Z", "window_end": "2026-03-05T00:00:00Z"},
        {"dag": "close", "publish_day": "2026-03-04", "force": "true"},
    ]
    for address, params in zip(forms, found, strict=True):
        shown = site.text(html.unescape(address).removeprefix("/pismo"))
        sent = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', shown.partition("</form>")[0]))
        assert {name: value for name, value in sent.items() if name != "token"} == params
        assert '<button class="main">Start the run</button>' in shown


def test_a_run_that_was_started_has_a_page_of_ours_in_the_same_frame(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, str, object]] = []
    monkeypatch.setattr(dag_runs, "start_run", lambda dag, _, run, conf: started.append((dag, run, conf)))
    form = {"dag": "close", "publish_day": "2026-03-04", TOKEN: make_token("1", "pismo_close_test", "manual__1")}
    answer = site.client.request("POST", "/team/pismo/deliveries/test/run", form)
    assert started == [("pismo_close_test", "manual__1", {"publish_day": "2026-03-04"})]
    own = "/deliveries/test/started?dag=close&run=manual__1"
    assert (answer.status_code, answer.headers["location"]) == (303, f"/team/pismo{own}")
    text = site.text(own)
    assert "<h1>The run is in the queue</h1>" in text
    assert "/team/dags/pismo_close_test/runs/manual__1" in text
    assert f'href="/team/pismo{html.escape(own)}"' in text
    assert 'href="/team/pismo/deliveries/test/days/2026-03-04"' in text

    done = StartedRun("manual__1", "failed", {}, "2026-03-05T09:00:00+00:00", "2026-03-05T09:01:00+00:00")
    monkeypatch.setattr(dag_runs, "find_started", lambda *_: done)
    text = site.text(own)
    assert "<h1>The run has failed</h1>" in text
    assert "2026-03-05 09:01" in text
    assert "Load this page again" not in text


def test_a_day_that_is_not_complete_names_its_runbooks(site: Site) -> None:
    short = key(14, "short", 4)
    site.lake.land_raw({short: b"{}"}, sizes={short: 99})
    text = site.text("/deliveries/test/days/2026-03-04")
    assert "✕ incomplete" in text
    assert 'href="/team/pismo/runbooks/pismo-was-down"' in text
    assert "<h1>" in site.text("/runbooks/pismo-was-down")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/deliveries/none", 403), ("/deliveries/test/days/tomorrow", 404), ("/deliveries/test/days/2026-02-30", 404),
        ("/deliveries/test/days/2026-03-03/report", 404), ("/deliveries/test/types?event=no/type", 404),
        ("/deliveries/test/run?dag=none", 404), ("/deliveries/test/run?dag=replay", 404), ("/deliveries/test/run", 404),
        ("/deliveries/test/started?dag=close&run=other", 404), ("/deliveries/test/started?dag=none&run=manual__1", 404),
        ("/deliveries/test/started?dag=ingest", 404), ("/deliveries/test/started?dag=doctor&run=manual__1", 403),
        ("/deliveries/test/run?dag=close&publish_day=2026-02-30", 400), ("/deliveries/test/run?dag=close&day=1", 400),
        ("/deliveries/test/run?dag=ingest&window_start=2026-03-04T00:00:00Z&object_keys=a", 400),
        ("/runbooks/none", 404), ("/runbooks/..%2f..%2fREADME", 404), ("/none", 404),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_so(site: Site, path: str, status: int) -> None:
    assert "<h1>" in site.text(path, status)


def test_texts_from_outside_are_escaped(site: Site) -> None:
    site.lake.put(
        event("e-x", domain=EVIL, event_type=EVIL, timestamp=at(13, 5)), key=key(13, EVIL.replace("/", ""), 5)
    )
    quoted = f"%22%3E{EVIL}"
    for path in (
        "/deliveries/test/days/2026-03-05", "/deliveries/test/files", "/deliveries/test/types",
        f"/deliveries/test/files?key={quoted}&hour={quoted}&state={quoted}&before={quoted}",
        f"/deliveries/test/events?event_id={quoted}&first={quoted}&last={quoted}", f"/dags/{EVIL.replace('/', '')}x",
        f"/deliveries/test/run?dag={quoted}", f"/deliveries/test/run?dag=close&publish_day={quoted}&force={quoted}",
        f"/deliveries/test/run?dag=ingest&object_keys={quoted}", f"/deliveries/test/run?dag=close&{quoted}=1",
    ):  # fmt: skip
        answer = site.client.get(f"/team/pismo{path}")
        assert "<script" not in answer.text, path
        assert f'">{EVIL}' not in answer.text, path


def test_an_event_is_found_by_its_id(site: Site) -> None:
    text = site.text("/deliveries/test/events?event_id=e-4")
    assert "✓ in the lake" in text
    assert key(12, "a", 4) in text
    assert "Not found." in site.text("/deliveries/test/events?event_id=nothing")
    assert "1 to 31 days" in site.text("/deliveries/test/events?event_id=x&first=2020-01-01&last=2026-01-01")


def test_a_run_of_a_close_dag_shows_its_day_and_other_dags_a_sentence(site: Site) -> None:
    assert "Wed, 4 March 2026" in site.text("/dags/pismo_close_test?run=manual__1")
    assert "The last 90 days" in site.text("/dags/pismo_ingest_test")
    assert "loads no Pismo files" in site.text("/dags/other")


def test_a_lost_ledger_is_named(site: Site) -> None:
    site.lake.ledger.close()
    site.deliveries.write_text(site.deliveries.read_text().replace("/ledger.db", "/lost.db"))
    if "lost.db" not in site.deliveries.read_text():
        pytest.skip("the ledger is a server")
    assert "there is no ledger" in site.text("/deliveries/test", 503)
    assert "there is no ledger" in site.text("/")
    assert not (site.lake.root / "lost.db").exists()


def test_the_page_of_a_delivery_shows_the_last_checks_of_the_doctor(site: Site) -> None:
    assert "has not checked this delivery yet" in site.text("/deliveries/test")
    checks = [
        Check("role", State.PASS, EVIL, "not shown"), Check("queue", State.FAIL, "no such queue", "make the queue"),
        Check("privacy", State.OPTIONAL, "none", "set a policy"), Check("topic", State.SKIPPED, "because of queue"),
    ]  # fmt: skip
    assert keep_checks(site.lake.settings, checks, datetime(2026, 3, 5, 9, tzinfo=UTC))
    site.reader._answers = Cache(30.0, 10)
    text = site.text("/deliveries/test")
    assert "1 of 4 failed" in text
    assert "Checked at 2026-03-05 09:00" in text
    assert "make the queue" in text
    assert html.escape(EVIL) in text
    assert EVIL not in text
    assert "not shown" not in text
    # each delivery has checks of its own
    site.readable.add("pismo_ingest_veiled")
    assert "has not checked this delivery yet" in site.text("/deliveries/veiled")


@pytest.mark.parametrize("text", [b"", b"[]", b'{"checked_at": 1}', b'{"checked_at": 1, "checks": [{"name": 1}]}'])
def test_checks_that_cannot_be_read_are_none(site: Site, text: bytes) -> None:
    storage.write_atomic(storage.join(site.lake.settings.lake, doctor_path("test")), text)
    assert "has not checked this delivery yet" in site.text("/deliveries/test")


def test_the_notices_and_the_dead_letters_of_a_queue_are_counted(site: Site) -> None:
    text = site.deliveries.read_text()
    notices = "    notices: {channel: pubsub, queue: projects/p/subscriptions/s, conn_id: none}\n"
    site.deliveries.write_text(text.replace("  veiled:", f"{notices}  veiled:", 1))

    def shown(count: Callable[[object], Notices]) -> str:
        app = make_app(pages=Pages(Reader(str(site.deliveries)), lambda: NOW, NoticeCounts(count, wait_seconds=60)))
        app.dependency_overrides[rights.get_user] = User
        answer = Client(app).get("/")
        assert answer.status_code == 200
        return re.sub(r"<[^>]+>", " ", answer.text)

    assert re.search(r"dead letters\s+3\s+notices that no run could use", shown(lambda _: Notices(12, 3)))
    assert re.search(r"dead letters\s+0\s", shown(lambda _: Notices(12, 0)))
    unknown = shown(lambda _: Notices(12, None, dead_problem="refused"))
    assert re.search(r"notices in the queue\s+12\s.*dead letters\s+unknown\s+refused", unknown, re.DOTALL)

    def fail(_: object) -> Notices:
        msg = "a password"
        raise RuntimeError(msg)

    failed = shown(fail)
    assert re.search(r"notices in the queue\s+unknown\s+RuntimeError\s.*dead letters\s+unknown", failed, re.DOTALL)
    assert "a password" not in failed


def name_a_consumer(site: Site, folder: Path) -> None:
    """Give the delivery a target of replays."""
    head, found, rest = site.deliveries.read_text().partition("  test:\n")
    site.deliveries.write_text(f"{head}{found}    replay: {{target: ndjson, address: {folder}/out}}\n{rest}")


def test_a_delivery_without_a_consumer_has_no_replays(site: Site, tmp_path: Path) -> None:
    page = site.text("/deliveries/test")
    assert "The last replays" not in page
    assert "pismo_replay_test" not in page
    name_a_consumer(site, tmp_path)
    page = site.text("/deliveries/test")
    assert "No event was sent again yet" in page
    assert "/team/dags/pismo_replay_test" in page
    assert "Runbook: our consumer was down" in page
    site.text("/runbooks/consumer-was-down")


def test_a_delivery_shows_its_last_replays(site: Site, tmp_path: Path) -> None:
    name_a_consumer(site, tmp_path)
    selection = Asked(event_ids=("e-4", EVIL), types=(EVIL,)).select()
    for replay_id in ("incident-7", "incident-8"):
        plan_replay(site.lake.settings, site.lake.ledger, selection, f"ndjson {EVIL}", replay_id=replay_id)
    book = ReplayLedger(site.lake.ledger, site.lake.settings.lake, "test")
    book.stop("incident-7", book.claim("incident-7"), "the queue is gone")
    site.readable.add("pismo_replay_test")
    for path in ("/deliveries/test", "/dags/pismo_replay_test"):
        page = site.text(path)
        assert '<span class="pill bad">stopped</span>' in page
        assert '<span class="pill">planned</span>' in page
        assert "the queue is gone" in page
        assert "2 event id(s)" in page
        assert EVIL not in page
