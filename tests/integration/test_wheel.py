"""Run a starter project's DAGs in an Airflow with the wheel, without PYTHONPATH and plugins."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import zipfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from tests.browser import browser_page
from tests.postgres import free_port
from tests.waiting import until

from pismo.provider import get_provider_info
from pismo_lake import __version__
from pismo_sandbox.s3.server import CONSUMER_KEY, CONSUMER_SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
RUNNER = Path(__file__).parent / "dag_runner.py"
CONSUMER = {"conn_type": "aws", "login": CONSUMER_KEY, "password": CONSUMER_SECRET}
FORM = """
import json, os
from airflow.models.connection import Connection
from airflow.providers_manager import ProvidersManager
manager = ProvidersManager()
hook = manager.hooks["pismo"]
fields = [name for name, widget in manager.connection_form_widgets.items() if "PismoHook" in widget.hook_class_name]
feed = {"organisation": "TN-00000000-1111-4222-8333-444444444444", "environment": "sandbox", "channel": "s3",
        "pismo_account_id": "123456789012", "region": "us-east-1", "conn_id": "pismo_sandbox"}
def test(**more):
    connection = Connection(conn_id="pismo_test", conn_type="pismo", extra=json.dumps(feed | more))
    os.environ["AIRFLOW_CONN_PISMO_TEST"] = connection.as_json()
    return connection.test_connection()
print(json.dumps({
    "name": hook.hook_name, "fields": fields, "links": manager.extra_links_class_names,
    "notifications": manager.notification, "good": test(endpoint_url=ENDPOINT),
    "bad": test(endpoint_url=ENDPOINT, pismo_account_id="210987654321"), "incomplete": test(organisation=""),
    "extras": [test(channel=channel, bucket="b") for channel in ("sftp", "gcs")],
}, default=str))
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """A virtual environment that has the wheel, and a folder to work in."""

    venv: Path
    folder: Path
    environment: dict[str, str]

    def run(self, program: str, *words: str | Path, **more: str) -> str:
        """Run a program of the environment that succeeds and return its output."""
        command = [str(self.venv / "bin" / program), *map(str, words)]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment | more, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    venv, uv = folder / "venv", [sys.executable, "-m", "uv"]
    wanted = ["-c", str(ROOT / "constraints.txt"), f"pismo-lake[sandbox] @ {wheel.as_uri()}"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(venv)], check=True)
    install = [*uv, "pip", "install", "--quiet", "--python", str(venv / "bin" / "python"), *wanted]
    subprocess.run(install, check=True, cwd=folder)
    foreign = ("AIRFLOW", "AWS_", "PISMO_", "PYTHON", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment |= {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }
    return Installed(venv, folder, environment)


@contextmanager
def serving(installed: Installed) -> Iterator[str]:
    """Run the simulated Pismo of the extra `sandbox`; yield its address."""
    command = [installed.venv / "bin" / "python", "-m", "pismo_sandbox", "serve", "--port", "0"]
    with subprocess.Popen(
        command, cwd=installed.folder, env=installed.environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().split()[0]
        finally:
            server.terminate()


def example(path: Path) -> dict[str, str]:
    """Return the variables of an example of an .env file, as a shell reads them."""
    lines = (shlex.split(line, comments=True) for line in path.read_text(encoding="utf-8").splitlines())
    return dict(word.split("=", 1) for line in lines for word in line)


@pytest.mark.slow
def test_a_starter_project_runs(installed: Installed) -> None:
    project = installed.folder / "project"
    assert installed.run("pismo-lake", "--version") == f"pismo-lake {__version__}\n"
    installed.run("pismo-lake", "init", project)
    given = example(project / ".env.example")
    dag_file = (project / "dags" / "pismo_dags.py").read_text(encoding="utf-8")
    assert [line for line in dag_file.splitlines()[1:] if line] == [
        "from pismo.dags import build_dags",
        'globals().update(build_dags("../config/deliveries.yaml"))',
    ]
    with serving(installed) as endpoint:
        given |= {"PISMO_ENDPOINT_URL": endpoint, "AIRFLOW_CONN_PISMO_SANDBOX": json.dumps(CONSUMER)}
        installed.environment.update(given)
        window = ["--end", datetime.now(UTC).isoformat(), "--hours", "2", "--mb", "1", "--everything"]
        installed.run(
            "python", "-m", "pismo_sandbox", "publish", "--endpoint", endpoint, "--truth", "truth.db", *window
        )
        assert "fail " not in installed.run("pismo-lake", "doctor", "pismo_sandbox")
        installed.run("airflow", "db", "migrate")
        asked = json.dumps(["pismo_ingest_pismo_sandbox", {}, 0]) + "\n"
        runner = [installed.venv / "bin" / "python", RUNNER, project / "dags"]
        done = subprocess.run(
            runner,
            cwd=installed.folder,
            env=installed.environment,
            input=asked,
            capture_output=True,
            text=True,
            check=False,
        )
        result = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        assert result, done.stdout[-3000:] + done.stderr[-3000:]
        found = json.loads(Path(result[0].removeprefix("RESULT ")).read_text())
        assert found["state"] == "success", done.stdout[-3000:]
        form = json.loads(installed.run("python", "-c", FORM.replace("ENDPOINT", repr(endpoint))).splitlines()[-1])
    lake = given["PISMO_LAKE"]
    assert " 0 problems" in installed.run(
        "python", "-m", "pismo_sandbox", "verify", "--lake", lake, "--truth", "truth.db"
    )
    assert "landed" in installed.run("pismo-lake", "files", "--delivery", "pismo_sandbox")
    assert "as this program needs it" in installed.run("pismo-lake", "ledger", "check")
    assert form["name"] == "Pismo"
    asked_for = {name.rsplit("__")[-1] for name in form["fields"]}
    assert asked_for >= {"organisation", "environment", "pismo_account_id", "channel"}
    assert form["good"][0], form["good"]
    assert "Role: arn:aws:iam::123456789012:role/" in form["good"][1]
    assert (form["bad"][0], form["bad"][1].startswith("Role: ")) == (False, True)
    assert [passed for passed, _ in form["extras"]] == [False, False]
    assert "SFTP packages: airflow.providers.sftp is missing" in form["extras"][0][1]
    assert "Google packages: " in form["extras"][1][1]
    assert form["incomplete"] == [False, "Organisation id is missing."]
    assert "pismo.operators.links.DayReportLink" in form["links"]
    assert "pismo.notifications.delivery.DeliveryNotifier" in str(form["notifications"])


@pytest.mark.slow
def test_one_command_runs_the_dag_of_a_new_project(installed: Installed) -> None:
    told = installed.run("pismo-lake", "init", "new").splitlines()
    # what the command says is all that a newcomer has to call; the project of the shell is another one
    program, *words = shlex.split(told[-2].partition("call: ")[2])
    said = installed.run(program, *words, PISMO_LAKE="/no/such/lake")
    assert " 0 problems" in said
    rows = re.search(r"(\d+) events published, (\d+) rows", said)
    assert rows
    assert int(rows[1]) == int(rows[2]) > 0
    assert list((installed.folder / "new" / "sandbox" / "lake").glob("events/**/*.parquet"))


@contextmanager
def api_server(installed: Installed) -> Iterator[str]:
    """Run Airflow's api-server, in which everybody is an admin; yield its address."""
    port = free_port()
    environment = installed.environment | {
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
    }
    command = [installed.venv / "bin" / "airflow", "api-server", "--host", "127.0.0.1", "--port", str(port)]
    log = installed.folder / "api-server.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, cwd=installed.folder, env=environment, stdout=output, stderr=output, start_new_session=True
        ) as server,
    ):

        def answers() -> bool:
            assert server.poll() is None, log.read_text()[-3000:]
            with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/api/v2/version"):
                return True
            return False

        try:
            until(answers, log.read_text)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, signal.SIGTERM)


@pytest.mark.slow
def test_the_form_says_if_pismo_lets_us_in(installed: Installed) -> None:
    installed.run("airflow", "db", "migrate")
    installed.environment["AIRFLOW_CONN_PISMO_SANDBOX"] = json.dumps(CONSUMER)
    with browser_page() as page, serving(installed) as endpoint, api_server(installed) as address:

        def add(conn_id: str, account: str) -> str:
            """Fill in the form, save it, press *Test Connection*, and return the text that is shown."""
            page.goto(f"{address}/connections")
            page.get_by_role("button", name="Add Connection").click()
            form = page.get_by_role("dialog")
            form.locator("input[name=connection_id]").fill(conn_id)
            form.get_by_role("combobox").first.click()
            page.keyboard.type("Pismo")
            page.get_by_role("option", name="Pismo", exact=True).click()
            form.locator("input[name=port]").fill("0")
            form.get_by_role("button", name="Extra Fields", exact=True).click()
            form.get_by_text(fields["conn_id"]["description"]).wait_for()
            shown = form.inner_text()
            for field in fields.values():
                assert {text for text in (field["label"], field["description"]) if text not in shown} == set()
            assert form.get_by_role("button", name="Save").is_disabled()  # there is no organisation yet
            given = {
                "organisation": "TN-00000000-1111-4222-8333-444444444444",
                "pismo_account_id": account,
                "region": "us-east-1",
                "endpoint_url": endpoint,
                "conn_id": "pismo_sandbox",
            }
            for name, value in given.items():
                form.locator(f"input[name=element_{name}]").fill(value)
            form.get_by_role("button", name="Save").click()
            form.wait_for(state="hidden")
            row = page.get_by_role("row").filter(has=page.get_by_text(conn_id, exact=True))
            row.get_by_role("button", name="Test Connection").click()
            title = page.get_by_text(re.compile("^Test Connection (Successful|Failed)$"))
            title.wait_for()
            return title.locator("xpath=../..").inner_text()

        (connection,) = get_provider_info()["connection-types"]
        fields = connection["conn-fields"]
        good, bad = add("pismo_good", "123456789012"), add("pismo_bad", "210987654321")
    assert "Test Connection Successful" in good
    assert "Listing: 0 event file(s) in the last six hours. Not checked: reading an event file." in good
    assert "Test Connection Failed" in bad
    assert "To do: ask Pismo to let" in bad


def test_airflow_lists_the_provider(installed: Installed) -> None:
    listed = json.loads(installed.run("airflow", "providers", "list", "--output", "json"))
    (found,) = [provider for provider in listed if provider["package_name"] == "pismo-lake"]
    assert found["version"] == __version__


def test_the_wheel_has_all_data_and_nothing_else(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "include/pismo_lake", "include/pismo_sandbox", "plugins/pismo"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    expected = {name.split("/", 1)[1] for name in tracked}
    others = {name for name in packed - expected if ".dist-info/" not in name}
    assert expected - packed == set()
    runbooks = {f"pismo/ui/runbooks/{path.name}" for path in (ROOT / "docs" / "runbooks").iterdir()}
    assert others == {"pismo_lake/settings/deliveries.schema.json"} | runbooks
    assert {f"{package}/py.typed" for package in ("pismo", "pismo_lake", "pismo_sandbox")} <= packed
