"""The plugin registers once, and costs other processes of Airflow next to nothing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[4]


def load_checkout(monkeypatch: pytest.MonkeyPatch, installed: list[EntryPoint]) -> Any:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: EntryPoints(installed))
    spec = importlib.util.spec_from_file_location("pismo_pages_of_a_test", ROOT / "plugins" / "pismo_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_checkout_registers_unless_a_package_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hasattr(load_checkout(monkeypatch, []), "PismoPages")
    own = EntryPoint("pismo_pages", "pismo.ui.plugin:PismoPages", "airflow.plugins")
    assert not hasattr(load_checkout(monkeypatch, [own]), "PismoPages")
    other = EntryPoint("other", "other.plugin:Other", "airflow.plugins")
    assert hasattr(load_checkout(monkeypatch, [other]), "PismoPages")


def test_the_package_names_the_plugin() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["airflow.plugins"] == {"pismo_pages": "pismo.ui.plugin:PismoPages"}


def test_airflow_may_mount_the_app_and_views_have_routes_of_their_own() -> None:
    from airflow.api_fastapi.app import RESERVED_URL_PREFIXES

    from pismo.ui.plugin import PismoPages

    (app,) = PismoPages.fastapi_apps
    assert not app["url_prefix"].startswith(tuple(RESERVED_URL_PREFIXES))
    views = PismoPages.external_views
    assert len({view["url_route"] for view in views}) == len(views) == 3
    # behind a proxy, a slash in front would leave the path of Airflow
    assert all(view["href"].startswith("pismo/") for view in views)


def test_registering_does_not_load_the_pages() -> None:
    code = (
        "import sys, pismo.ui.plugin; print(sorted({'pismo.ui.app', 'pismo.ui.pages', 'pyarrow', 'matplotlib',"
        " 'airflow.api_fastapi.core_api.security'} & set(sys.modules)))"
    )
    path = f"{ROOT / 'include'}:{ROOT / 'plugins'}"
    environment = {"PYTHONPATH": path, "PATH": "/usr/bin:/bin", "AIRFLOW_HOME": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("[]"), done.stdout + done.stderr[-2000:]
