"""Check the values for the official Helm chart: their keys against its schema."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "helm" / "values.yaml").read_text()
VALUES: dict[str, Any] = yaml.safe_load(TEXT)
ENVIRONMENT = {item["name"]: item["value"] for item in VALUES["env"]}
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())


def test_every_key_is_one_of_the_charts_and_of_its_type() -> None:
    rules = jsonschema_rs.Draft7Validator(
        json.loads((ROOT / "tests" / "fixtures" / "helm-values.schema.json").read_text())
    )
    assert [str(error) for error in rules.iter_errors(VALUES)] == []
    # helm itself would refuse a misspelled key, or a number instead of a text
    assert not rules.is_valid(VALUES | {"jwtSecretKeyName": "airflow-jwt"})
    assert not rules.is_valid(VALUES | {"env": [{"name": "A", "value": 120}]})


def test_names_in_the_environment_are_distinct() -> None:
    assert len(ENVIRONMENT) == len(VALUES["env"])


def test_what_the_project_reads_in_compose_is_given_here_too() -> None:
    composed = COMPOSE["services"]["scheduler"]["environment"]
    asked = {name for name in composed if name.startswith("PISMO_")} - {"PISMO_ENDPOINT_URL"}
    assert asked <= set(ENVIRONMENT)
    assert ENVIRONMENT["PYTHONPATH"] == composed["PYTHONPATH"]
    assert ENVIRONMENT["PISMO_DELIVERIES"] == composed["PISMO_DELIVERIES"]


def test_the_version_is_the_one_of_the_image() -> None:
    (image,) = re.findall(r"^FROM apache/airflow:(\S+) AS lake", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert VALUES["airflowVersion"] == image
    assert f"apache-airflow=={image}" in (ROOT / "requirements.txt").read_text().replace("[", "==[")


def test_the_ledger_is_migrated_with_airflows_database() -> None:
    steps = "airflow db migrate", "python -m pismo_lake ledger migrate"
    assert VALUES["migrateDatabaseJob"]["args"] == ["bash", "-c", " && ".join(steps)]
    composed = COMPOSE["services"]["init"]["command"][0].splitlines()
    assert composed[-2:] == list(steps)


def test_nothing_secret_and_nothing_of_one_pod_alone() -> None:
    assert not re.search(r"password:|AIRFLOW_CONN_\w+:|://[^/\s]+:[^/\s]+@", TEXT)
    assert all(ENVIRONMENT[name].startswith("s3://") for name in ("PISMO_LANDING", "PISMO_LAKE"))
    assert ENVIRONMENT["PISMO_LEDGER_URL"].startswith("postgresql+psycopg://")
    secrets = {VALUES[name] for name in ("fernetKeySecretName", "apiSecretKeySecretName", "jwtSecretName")}
    named = secrets | {VALUES["data"]["metadataSecretName"]}
    (extra,) = yaml.safe_load(VALUES["extraEnvFrom"])
    told = (ROOT / "docs" / "how-to" / "deploy-kubernetes.md").read_text()
    assert all(f"`{name}`" in told for name in named | {extra["secretRef"]["name"]})
