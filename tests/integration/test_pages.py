"""The pages in a real Airflow: who gets them, where they show, and that they do not hold up a run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import unescape
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from tests.airflow_runs import airflow_home
from tests.shots import CHROMIUM, browser
from tests.waiting import PATIENCE

from pismo.ui.app import HEADERS
from pismo_demo.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.integration
PASSWORD = "a-password-of-a-test"
DAY = "/pismo/deliveries/cards_production/days/2026-03-04"
RUN = "/pismo/deliveries/cards_production/run"
STARTED = "/pismo/deliveries/cards_production/started"
CLOSE, INGEST = "pismo_close_cards_production", "pismo_ingest_cards_production"
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: scripts/chromium installs it")


@dataclass(frozen=True, slots=True)
class Server:
    """A running api-server, and tokens of its admin and of a person who may only read."""

    port: int
    token: str
    reader: str

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], str]:
        return _ask(self.port, "GET", path, headers=headers)

    def own(self, path: str) -> tuple[int, dict[str, str], str]:
        return self.get(path, {"Authorization": f"Bearer {self.token}"})

    def send(self, fields: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        form = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return _ask(self.port, "POST", RUN, urlencode(fields), form)

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        found = json.loads(self.own(f"/api/v2/dags/{dag_id}/dagRuns?order_by=run_after")[2])
        return list(found["dag_runs"])


def _ask(
    port: int, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str], str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        sent = {"Content-Type": "application/json", **(headers or {})}
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        connection.request(method, path, text, sent)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, page_deliveries: Path, airflow_database: Path) -> Iterator[Server]:
    """Start an api-server with the checkout's plugins, over a lake of the look-alike's events."""
    root = tmp_path_factory.mktemp("pages")
    environment = airflow_home(root / "home", airflow_database)
    port = free_ports().api
    (root / "home" / "simple_auth_manager_passwords.json.generated").write_text(
        json.dumps({"admin": PASSWORD, "reader": PASSWORD})
    )
    environment |= {
        "PISMO_DELIVERIES": str(page_deliveries),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,reader:viewer",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-a-test-that-is-long-enough-for-its-use-here-so-it-seems",
        "AIRFLOW__API__SECRET_KEY": "another-secret",
        "NO_PROXY": "127.0.0.1",
    }
    # Airflow starts runs of the DAGs in its database only
    written = [sys.executable, "-m", "airflow", "dags", "reserialize"]
    done = subprocess.run(written, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    log = root / "server.log"
    command = [sys.executable, "-m", "airflow", "api-server"]
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        ) as process,
    ):
        try:
            tokens = [_token(port, process, log.read_text, name) for name in ("admin", "reader")]
            yield Server(port, *tokens)
        finally:
            os.killpg(process.pid, 15)
            process.wait()


def _token(port: int, process: subprocess.Popen[bytes], read_log: object, name: str) -> str:
    until = time.monotonic() + PATIENCE
    login = {"username": name, "password": PASSWORD}
    while True:
        assert process.poll() is None, read_log()[-3000:]  # type: ignore[operator]
        assert time.monotonic() < until
        try:
            return str(json.loads(_ask(port, "POST", "/auth/token", login)[2])["access_token"])
        except (OSError, ValueError):
            time.sleep(0.5)


def test_a_page_needs_a_login(server: Server) -> None:
    for path in ("/pismo/", DAY, "/pismo/dags/pismo_ingest_cards_production", "/pismo/runbooks/dead-letters"):
        status, headers, text = server.get(path)
        assert (status, "Log in to Airflow" in text) == (401, True)
        assert {name: headers[name.lower()] for name in HEADERS} == HEADERS
        assert server.get(path, {"Cookie": "_token=wrong"})[0] == 403
        status, headers, _ = server.own(path)
        assert status == 200
        assert {name: headers[name.lower()] for name in HEADERS} == HEADERS
        assert server.get(path, {"Cookie": f"_token={server.token}"})[0] == 200


def test_airflow_lists_the_plugin_without_an_error(server: Server) -> None:
    plugins = json.loads(server.own("/api/v2/plugins")[2])["plugins"]
    (ours,) = (plugin for plugin in plugins if plugin["name"] == "pismo_pages")
    assert [(view["destination"], view["href"]) for view in ours["external_views"]] == [
        ("nav", "pismo/"), ("dag", "pismo/dags/{DAG_ID}"), ("dag_run", "pismo/dags/{DAG_ID}?run={RUN_ID}"),
    ]  # fmt: skip
    assert json.loads(server.own("/api/v2/plugins/importErrors")[2])["total_entries"] == 0


def test_a_run_of_no_day_shows_its_delivery(server: Server) -> None:
    status, _, text = server.own("/pismo/dags/pismo_close_cards_production?run=manual__none")
    assert (status, "The last 90 days" in text) == (200, True)


def test_fifty_pages_at_once_do_not_hold_up_the_api(server: Server) -> None:
    with ThreadPoolExecutor(51) as pool:
        asked = [pool.submit(server.own, f"{DAY}?number={number}") for number in range(50)]
        health = pool.submit(server.get, "/api/v2/version")
        assert health.result()[0] == 200
        assert {answer.result()[0] for answer in asked} == {200}


def test_only_a_person_who_may_trigger_a_dag_sees_and_starts_its_runs(server: Server) -> None:
    asked = {"dag": "close", "publish_day": "2026-03-02"}
    page, own = f"{RUN}?{urlencode(asked)}", {"Origin": server.address}
    # another test of this file may have started one
    before = server.runs(CLOSE)
    assert server.get(page)[0] == 401
    assert server.send(asked, own)[0] == 401
    reader = {"Cookie": f"_token={server.reader}"}
    assert server.get(DAY, reader)[0] == 200
    for status, _, text in (server.get(page, reader), server.send(asked, {**own, **reader})):
        assert (status, f"You may not start runs of the DAG {CLOSE}" in text) == (403, True)
    assert server.get(f"{RUN}?dag=other", {"Cookie": f"_token={server.token}"})[0] == 404
    assert server.runs(CLOSE) == before


def test_a_form_of_our_own_page_starts_one_run_with_its_params(server: Server) -> None:
    asked = {"dag": "ingest", "window_start": "2026-03-04T00:00:00Z", "window_end": "2026-03-05T00:00:00Z"}
    session, own = {"Cookie": f"_token={server.token}"}, {"Origin": server.address}
    status, _, text = server.get(f"{RUN}?{urlencode(asked)}", session)
    assert (status, "The DAG is paused" in text) == (200, True)
    assert "published from 2026-03-04T00:00:00Z to 2026-03-05T00:00:00Z" in text
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text.partition("</form>")[0]))
    fields = {name: unescape(value) for name, value in fields.items()}
    assert {name: value for name, value in fields.items() if name != "token"} == asked

    refused = [
        ({**fields, "token": "a"}, {**session, **own}),
        # the token is for another DAG
        ({**fields, "dag": "close"}, {**session, **own}),
        (fields, session),
        (fields, {**session, "Origin": "http://127.0.0.1:1"}),
        (fields, {**session, "Origin": "null"}),
        (fields, {**session, **own, "Sec-Fetch-Site": "cross-site"}),
    ]
    for sent, headers in refused:
        status, _, text = server.send(sent, headers)
        assert (status, "<h1>Not started</h1>" in text) == (403, True), headers
    wrong = {"window_start": "yesterday", "window_end": "2026-03-03T00:00:00Z", "force": "perhaps", "none": "1"}
    for name, value in wrong.items():
        status, _, text = server.send({**fields, name: value}, {**session, **own})
        assert (status, name in text, "Traceback" in text) == (400, True, False)
        assert "Failed validating" not in text
    assert server.runs(INGEST) == []

    answers = [server.send(fields, {**session, **own}) for _ in range(2)]
    (run,) = server.runs(INGEST)
    assert [(status, headers["location"]) for status, headers, _ in answers] == [
        (303, f"{STARTED}?dag=ingest&run={quote(run['dag_run_id'], safe='')}")
    ] * 2
    page = answers[0][1]["location"]
    status, _, text = server.get(page, session)
    assert (status, "<h1>The run is in the queue</h1>" in text, "The DAG is paused" in text) == (200, True, True)
    assert server.get(page)[0] == 401
    assert server.get(f"{page}0", session)[0] == 404
    assert run["conf"] == {name: value for name, value in asked.items() if name != "dag"}
    assert (run["state"], run["run_type"], run["triggered_by"]) == ("queued", "manual", "ui")
    assert (run["triggering_user_name"], run["note"]) == ("admin", "Started by admin on the page Pismo lake.")
    events = json.loads(server.own(f"/api/v2/eventLogs?dag_id={INGEST}&event=trigger_dag_run")[2])
    assert [event["run_id"] for event in events["event_logs"]] == [run["dag_run_id"]]


@needs_chromium
def test_a_person_starts_a_run_with_two_clicks_and_another_page_starts_none(server: Server) -> None:
    elsewhere = "http://127.0.0.1:9999/page"
    with browser() as started:
        context = started.new_context()
        context.add_cookies([{"name": "_token", "value": server.token, "url": server.address}])
        page = context.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        problems: list[str] = []
        page.goto(f"{server.address}/plugin/pismo-lake{DAY}")
        page.on("console", lambda message: problems.append(message.text))
        frame = page.frame_locator("iframe")
        frame.get_by_role("link", name="Build the day again").click()
        frame.get_by_text("It builds the day again even if nothing has changed.").wait_for()
        frame.get_by_text("Change the Params").click()
        frame.get_by_label("relist:").select_option("off")
        frame.get_by_role("button", name="Show this run").click()
        frame.get_by_text("It does not contact Pismo").wait_for()
        form = frame.locator("form[method=post]").evaluate("form => form.outerHTML")
        frame.get_by_role("button", name="Start the run").click()
        frame.get_by_role("heading", name="The run is in the queue").wait_for()
        # Airflow's frame forbids a page to change the whole window; a new tab is what is left
        with context.expect_page() as opened:
            frame.get_by_role("link", name="Tasks and logs in Airflow").click(modifiers=["Control"])
        opened.value.wait_for_url(f"**/dags/{CLOSE}/runs/*", wait_until="commit")
        assert len(page.frames) == 2
        page.wait_for_url(f"**/plugin/pismo-lake{STARTED}?dag=close&run=*")
        phone = context.new_page()
        phone.set_viewport_size({"width": 390, "height": 800})
        phone.goto(page.url.replace("/plugin/pismo-lake", ""), timeout=PATIENCE * 1000)
        assert phone.get_by_role("heading", name="The run is in the queue").count() == 1
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390
        # a broken rule of the content security policy is told in the console
        assert [problem for problem in problems if "Content Security Policy" in problem] == []
        (run,) = server.runs(CLOSE)
        assert run["conf"] == {"publish_day": "2026-03-04", "force": True, "relist": False}

        # another port of the same machine gets the cookie, and may even have seen the form
        form = form.replace('action="/', f'action="{server.address}/')
        page.route(elsewhere, lambda route: route.fulfill(content_type="text/html", body=form))
        page.goto(elsewhere)
        with page.expect_response(f"**{RUN}") as answer:
            page.get_by_role("button").click()
        assert answer.value.status == 403
        page.get_by_text("was not sent by a page of this Airflow").wait_for()
    assert server.runs(CLOSE) == [run]


@needs_chromium
def test_the_page_shows_in_the_navigation_of_airflow(server: Server) -> None:
    with browser() as started:
        context = started.new_context()
        context.add_cookies([{"name": "_token", "value": server.token, "url": server.address}])
        page = context.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(f"{server.address}/plugin/pismo-lake")
        frame = page.frame_locator("iframe")
        frame.get_by_role("heading", name="Pismo lake").wait_for()
        frame.get_by_role("link", name="cards_production").click()
        frame.get_by_role("heading", name="The last 90 days").wait_for()
        # the address can be opened anew
        page.wait_for_url("**/plugin/pismo-lake/pismo/deliveries/cards_production")


@needs_chromium
@pytest.mark.parametrize("width", [390, 1100])
def test_no_page_scrolls_sideways(server: Server, width: int) -> None:
    base = "/pismo/deliveries/cards_production"
    with browser() as started:
        context = started.new_context(viewport={"width": width, "height": 800})
        context.add_cookies([{"name": "_token", "value": server.token, "url": server.address}])
        page = context.new_page()
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text))
        for path in (
            "/pismo/",
            base,
            DAY,
            f"{DAY}/report",
            f"{base}/files",
            f"{base}/events",
            f"{base}/types",
            f"{RUN}?dag=close",
        ):
            page.goto(f"{server.address}{path}", timeout=PATIENCE * 1000)
            found, height = page.evaluate("[document.documentElement.scrollWidth, document.body.scrollHeight]")
            assert found <= width, path
            assert height < 15_000, path
        # a broken rule of the content security policy is told in the console
        assert problems == []
