"""Check the wheel's metadata: imports are of declared packages, and pins are in the ranges."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import pismo_lake

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = {"pismo", "pismo_lake", "pismo_sandbox"}
PARTS_OF_OTHERS = {
    "aiobotocore": "s3fs",
    "airflow": "apache-airflow",
    "anyio": "apache-airflow",
    "asgiref": "apache-airflow",
    "attr": "apache-airflow-providers-openlineage",
    "azure": "azure-storage-blob",
    "botocore": "boto3",
    "fastapi": "apache-airflow",
    "google": "google-cloud-storage",
    "grpc": "google-cloud-pubsub",
    "itsdangerous": "apache-airflow",
    "markdown_it": "rich",
    "markupsafe": "jinja2",
    "openlineage": "apache-airflow-providers-openlineage",
    "pydantic_core": "pydantic",
    "requests": "apache-airflow",
    "starlette": "apache-airflow",
    "urllib3": "boto3",
    "werkzeug": "moto",
}
"""Packages that a declared one cannot do without, by the name of their import."""


def declared(*extras: str) -> dict[str, Requirement]:
    """Return the dependencies of the wheel with some extras, by name."""
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in PROJECT["optional-dependencies"][extra])]
    return {canonicalize_name(found.name): found for found in map(Requirement, texts)}


def imported(package: Path) -> set[str]:
    """Return the names of the other packages that a package imports anywhere."""
    found = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(str(node.module).split(".")[0])
    return found - OURS - set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("package", "extras"),
    [
        ("include/pismo_lake", ("azure", "gcp", "iceberg", "kafka")),
        ("plugins/pismo", ("azure", "gcp", "kafka", "openlineage", "sftp")),
        ("include/pismo_sandbox", ("sandbox", "gcp")),
    ],
)
def test_each_import_is_of_a_declared_package(package: str, extras: tuple[str, ...]) -> None:
    names, known = declared(*extras), packages_distributions()
    missing = {
        name
        for name in imported(ROOT / package)
        if PARTS_OF_OTHERS.get(name) not in names
        and not {canonicalize_name(found) for found in known.get(name, [name])} & names.keys()
    }
    assert missing == set()


def pins(file: str) -> dict[str, str]:
    text = (ROOT / file).read_text(encoding="utf-8")
    return {
        canonicalize_name(name): pin
        for name, pin in re.findall(r"^([\w.-]+)(?:\[.*\])?==([^\s;]+)", text, re.MULTILINE)
    }


def test_the_pinned_set_is_within_the_ranges() -> None:
    ranges = declared("sftp", "gcp", "iceberg", "sandbox")
    pinned = pins("constraints.txt")
    assert {name: str(found) for name, found in ranges.items() if pinned[name] not in found.specifier} == {}
    # pandas only keeps the version that the image has
    assert pins("requirements.txt").keys() - ranges.keys() <= {"pandas"}


def test_the_version_is_in_one_place() -> None:
    assert "version" in PROJECT["dynamic"]
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", pismo_lake.__version__)
    assert f"## [{pismo_lake.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_everything_is_in_one_extra() -> None:
    extras = PROJECT["optional-dependencies"]
    (everything,) = map(Requirement, extras["all"])
    assert everything.extras == extras.keys() - {"all"}
