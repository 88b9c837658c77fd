"""Check the pages of managed services: their files fit this wheel, and make DAGs."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import pismo_lake
from pismo_lake.settings.deliveries import Delivery, load_deliveries

ROOT = Path(__file__).resolve().parents[2]
PAGES = {name: (ROOT / "docs" / "how-to" / f"deploy-{name}.md").read_text() for name in ("mwaa", "composer", "astro")}
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
each_page = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)


def block(page: str, language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return str(found)


def files(page: str, folder: Path) -> tuple[Path, Delivery]:
    """Write the DAG file and the deliveries file of a page; return the first, and the delivery."""
    (folder / "deliveries.yaml").write_text(block(page, "yaml"))
    (folder / "pismo_dags.py").write_text(block(page, "python"))
    (delivery,) = load_deliveries(folder / "deliveries.yaml")
    assert isinstance(delivery, Delivery)
    return folder / "pismo_dags.py", delivery


@each_page
def test_the_first_sentence_says_that_it_is_not_tried(page: str) -> None:
    title, text = page.split("\n\n")[:2]
    assert title.startswith("# Run it on ")
    assert text.startswith("Not tried: ")


@each_page
def test_the_files_make_both_dags(page: str, tmp_path: Path) -> None:
    path, delivery = files(page, tmp_path)
    made = runpy.run_path(str(path))
    assert {f"pismo_ingest_{delivery.name}", f"pismo_close_{delivery.name}"} <= made.keys()
    assert {path.name, "deliveries.yaml"} == {each.name for each in tmp_path.iterdir() if each.is_file()}


@each_page
def test_every_connection_of_the_delivery_has_a_place(page: str, tmp_path: Path) -> None:
    _, delivery = files(page, tmp_path)
    rows = "\n".join(re.findall(r"^\| (`[^`]*`) \|", page.partition("\n## Connections")[2], re.MULTILINE))
    assert delivery.storage_conn_id
    assert delivery.ledger_conn_id
    for name in (delivery.conn_id, delivery.storage_conn_id, delivery.ledger_conn_id):
        assert f"{name}`" in rows
    # no worker shares a disk with another one
    assert all("://" in place for place in (delivery.lake, delivery.landing))


@each_page
def test_the_wheel_and_its_extras_are_this_versions(page: str) -> None:
    version = pismo_lake.__version__
    assert set(re.findall(r"pismo_lake-([\d.]+)-py3|pismo-lake\[[\w,]+\]==([\d.]+)", page)) <= {
        (version, ""), ("", version),
    }  # fmt: skip
    extras = {name for found in re.findall(r"(?:pismo-lake|\.whl)\[([\w,]+)\]", page) for name in found.split(",")}
    assert extras
    assert extras <= EXTRAS.keys()


@pytest.mark.parametrize("name", ["mwaa", "composer"])
def test_the_requirement_is_one(name: str) -> None:
    lines = re.findall(r"^pismo-lake\[.*$", PAGES[name], re.MULTILINE)
    assert [Requirement(line).name for line in lines] == ["pismo-lake"]


@each_page
def test_the_version_of_airflow_is_the_wheels(page: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (lowest,) = re.findall(r"apache-airflow>=([\d.]+)", "\n".join(project["dependencies"]))
    assert f"needs Airflow {lowest} or newer" in page
    locked = re.findall(r"^apache-airflow==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    if "`constraints.txt`" in page:
        assert [f"`constraints.txt` is for exactly {version}" in page for version in locked] == [True]
