"""The provider's description is valid and names only things that there are."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import airflow
import jsonschema_rs
import pytest
from airflow.sdk import BaseHook, BaseNotifier, BaseOperatorLink

from pismo.provider import get_provider_info
from pismo.provider.hook import PismoHook
from pismo_lake.errors import ConfigError
from pismo_lake.settings.channels import S3Source

INFO = get_provider_info()
FEED = {"organisation": "TN-1", "environment": "production"}


def load(path: str) -> type:
    module, _, name = path.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert isinstance(found, type)
    return found


@pytest.mark.parametrize("schema", ["provider_info.schema.json", "provider.yaml.schema.json"])
def test_it_is_what_airflow_expects(schema: str) -> None:
    rules = json.loads((Path(airflow.__file__).parent / schema).read_text())
    # keys that only Airflow's own providers have
    rules.pop("required", None)
    assert [str(error) for error in jsonschema_rs.validator_for(rules).iter_errors(INFO)] == []


def test_everything_that_it_names_is_there() -> None:
    for kind in ("operators", "sensors", "hooks", "triggers"):
        for integration in INFO[kind]:
            for module in integration["python-modules"]:
                importlib.import_module(module)
    assert all(issubclass(load(path), BaseOperatorLink) for path in INFO["extra-links"])
    assert all(issubclass(load(path), BaseNotifier) for path in INFO["notifications"])
    (connection,) = INFO["connection-types"]
    assert issubclass(load(connection["hook-class-name"]), BaseHook)
    assert connection["connection-type"] == PismoHook.conn_type


def hook(monkeypatch: pytest.MonkeyPatch, **extra: str) -> PismoHook:
    monkeypatch.setenv("AIRFLOW_CONN_FEED", json.dumps({"conn_type": "pismo", "extra": extra}))
    return PismoHook("feed")


def test_the_form_gives_a_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = hook(monkeypatch, **FEED, channel="s3", pismo_account_id="123456789012", region="", bucket="").get_conn()
    assert (s3.environment.value, s3.channel.value, s3.conn_id) == ("production", "s3", "aws_default")
    sftp = hook(monkeypatch, **FEED, channel="sftp", pismo_account_id="123456789012", conn_id="mine").get_conn()
    assert (sftp.channel.value, sftp.conn_id) == ("sftp", "mine")


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({"channel": "s3"}, "Organisation id is missing"),
        ({"channel": "s3", "organisation": " "}, "Organisation id is missing"),
        ({**FEED, "environment": "test"}, "Environment 'test' is not one of sandbox, production"),
        ({**FEED, "channel": "pigeon"}, "Channel 'pigeon' is not one of s3, sftp, gcs"),
        ({**FEED, "channel": "s3"}, "Pismo's AWS account id is missing"),
        ({**FEED, "channel": "s3", "pismo_account_id": "12"}, "Pismo's AWS account id '12' is not 12 digits"),
        ({**FEED, "channel": "gcs"}, "Bucket is missing"),
        (
            {**FEED, "pismo_account_id": "123456789012", "endpoint_url": "nonsense"},
            "Endpoint 'nonsense' does not begin with http:// or https:// and a host",
        ),
    ],
)
def test_a_field_that_is_missing_or_wrong_is_named(
    extra: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = hook(monkeypatch, **extra)
    with pytest.raises(ConfigError, match=f"connection feed: {told}"):
        found.get_conn()
    # without the connection's id: Airflow gives the connection a random one for the test
    assert found.test_connection() == (False, f"{told}.")


def test_an_identity_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = hook(monkeypatch, **FEED, pismo_account_id="123456789012", conn_id="misspelt")
    assert found.test_connection() == (False, "Connection of your identity 'misspelt' does not exist.")


def test_blanks_around_a_value_are_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = hook(monkeypatch, organisation=" TN-1\n", pismo_account_id="123456789012 ").get_conn()
    assert feed.organisation == "TN-1"
    assert feed.source == S3Source("123456789012")


@pytest.mark.parametrize(("airflow_version", "hidden"), [("3.3.0", True), ("3.3.1", False), ("3.3.2", False)])
def test_the_form_asks_for_a_port_only_if_airflow_tests_nothing_without(
    airflow_version: str, hidden: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pismo.provider.info.version", {"apache-airflow-core": airflow_version}.get)
    (connection,) = get_provider_info()["connection-types"]
    behaviour = connection["ui-field-behaviour"]
    assert ("port" in behaviour["hidden-fields"], "port" not in behaviour["relabeling"]) == (hidden, hidden)
