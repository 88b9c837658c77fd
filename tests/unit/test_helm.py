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
PROCESSES = {"tasks": VALUES["workers"]["kubernetes"], **VALUES}
PAGE = (ROOT / "docs" / "how-to" / "deploy-kubernetes.md").read_text()
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
    assert not rules.is_valid(VALUES | {"workers": {"kubernetes": {"serviceAccount": {"annotation": {}}}}})
    assert not rules.is_valid(VALUES | {"workers": VALUES["workers"]["kubernetes"]})  # as charts before 1.22 have it
    assert not rules.is_valid(VALUES | {"volumeMounts": [{"name": "deliveries", "path": "/opt"}]})


def test_names_in_the_environment_are_distinct() -> None:
    assert len(ENVIRONMENT) == len(VALUES["env"])


def test_what_the_project_reads_in_compose_is_given_here_too() -> None:
    composed = COMPOSE["services"]["scheduler"]["environment"]
    asked = {name for name in composed if name.startswith("PISMO_")} - {"PISMO_ENDPOINT_URL"}
    assert asked <= set(ENVIRONMENT)
    assert "PYTHONPATH" not in ENVIRONMENT  # the wheel is installed
    assert ENVIRONMENT["PISMO_DELIVERIES"] == composed["PISMO_DELIVERIES"]


def test_the_version_is_the_one_of_the_image() -> None:
    (image,) = re.findall(r"^FROM apache/airflow:(\S+) AS airflow$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert VALUES["airflowVersion"] == image
    assert f"apache-airflow=={image}" in (ROOT / "requirements.txt").read_text().replace("[", "==[")


def test_the_ledger_is_migrated_and_pools_are_made_with_airflows_database() -> None:
    folder = ENVIRONMENT["PISMO_DELIVERIES"].rsplit("/", 1)[0]
    steps = ["airflow db migrate", "python -m pismo_lake ledger migrate"]
    made = " && ".join([*steps, f"airflow pools import {folder}/pools.json"])
    assert VALUES["migrateDatabaseJob"]["args"] == ["bash", "-c", made]
    composed = COMPOSE["services"]["init"]["command"][0].splitlines()
    assert composed[-3:-1] == steps
    assert composed[-1].startswith("airflow pools import ")


def test_deliveries_are_a_configmap_that_every_pod_mounts() -> None:
    (volume,), (mount,) = VALUES["volumes"], VALUES["volumeMounts"]
    assert mount == {"name": volume["name"], "mountPath": "/opt/airflow/deliveries", "readOnly": True}
    assert ENVIRONMENT["PISMO_DELIVERIES"].startswith(f"{mount['mountPath']}/")
    name = volume["configMap"]["name"]
    making = re.findall(r"kubectl create configmap (\S+) (.*?)(?: \\|$)", f"{TEXT}\n{PAGE}", re.MULTILINE)
    assert len(making) >= 2
    for made, options in making:
        assert made == name
        files = re.findall(r"--from-file=(\S+)", options)
        assert files == ["config/deliveries.yaml", "config/pools.json"]
        assert [file for file in files if not (ROOT / file).is_file()] == []


def test_who_reaches_the_cloud_has_an_identity_and_the_others_none() -> None:
    key, role = "eks.amazonaws.com/role-arn", "arn:aws:iam::"
    named = {
        name: part["serviceAccount"]["annotations"] for name, part in PROCESSES.items() if "serviceAccount" in part
    }
    # tasks, triggers that look at a queue, pages that read logs from the bucket, callbacks of a DAG that send alerts
    assert set(named) == {"tasks", "triggerer", "apiServer", "dagProcessor"}
    assert all(annotations[key].startswith(role) for annotations in named.values())
    assert "iam.gke.io/gcp-service-account" in TEXT


def test_every_process_says_how_much_it_needs() -> None:
    for name in ("tasks", "triggerer", "apiServer", "scheduler", "dagProcessor", "migrateDatabaseJob"):
        resources = PROCESSES[name]["resources"]
        assert resources["requests"].keys() == {"cpu", "memory"}, name
        assert resources["limits"].keys() == {"memory"}, name


def test_logs_are_kept_outside_of_pods() -> None:
    assert ENVIRONMENT["AIRFLOW__LOGGING__REMOTE_LOGGING"] == "True"
    assert ENVIRONMENT["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"].startswith("s3://")
    assert ENVIRONMENT["AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID"] == ENVIRONMENT["PISMO_STORAGE_CONN_ID"]


def test_nothing_secret_and_nothing_of_one_pod_alone() -> None:
    assert not re.search(r"password:|AIRFLOW_CONN_\w+:|://[^/\s]+:[^/\s]+@", TEXT)
    assert all(ENVIRONMENT[name].startswith("s3://") for name in ("PISMO_LANDING", "PISMO_LAKE"))
    assert ENVIRONMENT["PISMO_LEDGER_URL"].startswith("postgresql+psycopg://")
    secrets = {VALUES[name] for name in ("fernetKeySecretName", "apiSecretKeySecretName", "jwtSecretName")}
    named = secrets | {VALUES["data"]["metadataSecretName"]}
    (extra,) = yaml.safe_load(VALUES["extraEnvFrom"])
    assert all(f"`{name}`" in PAGE for name in named | {extra["secretRef"]["name"]})
