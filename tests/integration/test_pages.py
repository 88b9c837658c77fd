"""The pages in a real Airflow: who gets them, where they show, and that they do not hold up a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING

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
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: scripts/chromium installs it")


@dataclass(frozen=True, slots=True)
class Server:
    """A running api-server, and a token of its admin."""

    port: int
    token: str

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], str]:
        return _ask(self.port, "GET", path, headers=headers)

    def own(self, path: str) -> tuple[int, dict[str, str], str]:
        return self.get(path, {"Authorization": f"Bearer {self.token}"})


def _ask(
    port: int, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str], str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        sent = {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, path, None if body is None else json.dumps(body), sent)
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
    (root / "home" / "simple_auth_manager_passwords.json.generated").write_text(json.dumps({"admin": PASSWORD}))
    environment |= {
        "PISMO_DELIVERIES": str(page_deliveries),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-a-test-that-is-long-enough-for-its-use-here-so-it-seems",
        "AIRFLOW__API__SECRET_KEY": "another-secret",
        "NO_PROXY": "127.0.0.1",
    }
    log = root / "server.log"
    command = [sys.executable, "-m", "airflow", "api-server"]
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        ) as process,
    ):
        try:
            yield Server(port, _token(port, process, log.read_text))
        finally:
            os.killpg(process.pid, 15)
            process.wait()


def _token(port: int, process: subprocess.Popen[bytes], read_log: object) -> str:
    until = time.monotonic() + PATIENCE
    login = {"username": "admin", "password": PASSWORD}
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
        for path in ("/pismo/", base, DAY, f"{DAY}/report", f"{base}/files", f"{base}/events", f"{base}/types"):
            page.goto(f"{server.address}{path}", timeout=PATIENCE * 1000)
            found, height = page.evaluate("[document.documentElement.scrollWidth, document.body.scrollHeight]")
            assert found <= width, path
            assert height < 15_000, path
        # a broken rule of the content security policy is told in the console
        assert problems == []
