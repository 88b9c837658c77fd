"""The doctor reports correct and wrong deliveries; no output of it has a secret."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.aws_account import running_account
from tests.lakes import event
from tests.waiting import PATIENCE

from pismo.__main__ import main
from pismo.checks.check import Check, State, table
from pismo_lake.privacy.mark import MARK
from pismo_sandbox.feed.events import ORGANISATION
from pismo_sandbox.gcp.cloud import BUCKET, SUBSCRIPTION, TOPIC, GcsSink, running_gcp
from pismo_sandbox.s3.notices import furnish_notices
from pismo_sandbox.s3.server import ACCOUNT, CONSUMER_KEY, CONSUMER_SECRET, Sandbox, running_sandbox
from pismo_sandbox.sftp.server import SftpPolicy, Sizes, rsa_key_pair, running_sftp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]

Doctor = "Callable[..., tuple[int, dict[str, dict[str, str]]]]"


def write_deliveries(folder: Path, settings: dict[str, Any]) -> Path:
    """Write a deliveries file with one delivery, which has its landing zone, lake and ledger in the folder."""
    body = {
        "organisation": ORGANISATION, "environment": "sandbox", "conn_id": "pismo",
        "landing": f"{folder}/landing", "lake": f"{folder}/lake", "ledger_url": f"sqlite:///{folder}/ledger.db",
    }  # fmt: skip
    path = folder / "deliveries.yaml"
    path.write_text(yaml.safe_dump({"deliveries": {"ours": body | settings}}))
    return path


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Examine a delivery with these settings; the exit status and the checks by name."""

    def run(connection: dict[str, Any], *arguments: str, **settings: Any) -> tuple[int, dict[str, dict[str, str]]]:
        monkeypatch.setenv("AIRFLOW_CONN_PISMO", json.dumps(connection))
        path = write_deliveries(tmp_path, settings)
        status = main(["doctor", "ours", "--deliveries", str(path), "--json", *arguments])
        said = capsys.readouterr()
        checks = json.loads(said.out)
        # the table that the command prints without --json
        shown = table(Check(**check | {"state": State(check["state"])}) for check in checks)
        for secret in (CONSUMER_SECRET, "PRIVATE KEY", connection.get("password") or CONSUMER_SECRET):
            assert secret not in said.out + said.err + shown
        found = {check["name"]: check for check in checks}
        assert all(name in shown for name in found)
        return status, found

    return run


def other_states(found: dict[str, dict[str, str]]) -> dict[str, str]:
    """Return the states of checks that did not pass; no privacy policy is a warning in all of these deliveries."""
    usual = {name: "optional" if name == "privacy" else "pass" for name in found}
    return {name: check["state"] for name, check in found.items() if check["state"] != usual[name]}


def now_key() -> str:
    now = datetime.now(UTC)
    return f"main_stream/{now.year}/{now.month}/{now.day}/{now.hour}/a"


# --- S3 --------------------------------------------------------------------------------------------------------


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox() as running:
        running.admin("s3").put_object(Bucket=running.policy.bucket, Key=now_key(), Body=event())
        yield running


def s3(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    source = {"pismo_account_id": ACCOUNT, "endpoint_url": sandbox.endpoint, "region": "us-east-1"}
    return {"channel": "s3", "source": source, **more}


AWS = {"conn_type": "aws", "login": CONSUMER_KEY, "password": CONSUMER_SECRET, "extra": {"region_name": "us-east-1"}}


def test_an_s3_delivery_that_is_well(sandbox: Sandbox, doctor: Callable[..., Any]) -> None:
    status, found = doctor(AWS, **s3(sandbox))
    assert (status, other_states(found)) == (0, {})
    assert {"own identity", "clock", "role", "listing", "reading an event file", "ledger", "lake writable"} <= set(
        found
    )
    assert "arn:aws:" in found["own identity"]["seen"]


def test_the_command_prints_the_table(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PISMO", json.dumps(AWS))
    arguments = ["doctor", "ours", "--deliveries", str(write_deliveries(tmp_path, s3(sandbox)))]
    assert main([*arguments, "--json"]) == 0
    names = [check["name"] for check in json.loads(capsys.readouterr().out)]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert CONSUMER_SECRET not in said.out + said.err
    titles = [line.split(maxsplit=1) for line in said.out.splitlines() if not line.startswith(" ")]
    assert titles == [["optional" if name == "privacy" else "pass", name] for name in names]


def test_without_the_right_to_list(sandbox: Sandbox, doctor: Callable[..., Any]) -> None:
    sandbox.policy.list_allowed = False
    status, found = doctor(AWS, "--key", now_key(), **s3(sandbox))
    assert (status, found["listing"]["state"], found["reading an event file"]["state"]) == (1, "fail", "pass")
    queues = furnish_notices(sandbox, name="-doctor")
    told = {"channel": "sqs", "queue": queues.queue_url, "conn_id": "pismo", "endpoint_url": sandbox.endpoint}
    status, found = doctor(AWS, "--key", now_key(), **s3(sandbox, notices=told))
    assert (status, found["listing"]["state"], found["queue"]["state"]) == (0, "optional", "pass")
    assert found["dead letters"]["state"] == "pass"
    status, found = doctor(AWS, "--key", now_key(), **s3(sandbox, notices=told | {"queue": queues.dead_letters_url}))
    assert (status, found["dead letters"]["state"]) == (0, "optional")
    sandbox.policy.queue_allowed = False
    status, found = doctor(AWS, **s3(sandbox, notices=told))
    assert (status, found["queue"]["state"], found["dead letters"]["state"]) == (1, "fail", "skipped")


def test_refused_roles_and_keys(sandbox: Sandbox, doctor: Callable[..., Any]) -> None:
    sandbox.policy.kms_allowed = False
    status, found = doctor(AWS, **s3(sandbox))
    assert (status, found["role"]["state"], found["use of the KMS key"]["state"]) == (1, "pass", "fail")
    sandbox.policy.role_allowed = False
    status, found = doctor(AWS, **s3(sandbox))
    assert (status, found["role"]["state"], found["listing"]["state"]) == (1, "fail", "skipped")
    assert "ask Pismo to let arn:aws:" in found["role"]["advice"]


def test_a_landing_that_cannot_be_written(sandbox: Sandbox, doctor: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, found = doctor(AWS, **s3(sandbox, landing=str(tmp_path / "file" / "below")))
    assert (status, found["landing writable"]["state"], found["lake writable"]["state"]) == (1, "fail", "pass")
    assert not list((tmp_path / "lake").glob("*"))


def test_nothing_is_left_behind(sandbox: Sandbox, doctor: Callable[..., Any], tmp_path: Path) -> None:
    _, found = doctor(AWS, **s3(sandbox))
    assert {path.name for path in tmp_path.iterdir()} == {"deliveries.yaml"}
    assert "the first run creates it" in found["ledger"]["seen"]
    (tmp_path / "file").write_text("")
    status, found = doctor(AWS, **s3(sandbox, ledger_url=f"sqlite:///{tmp_path}/file/ledger.db"))
    assert (status, found["ledger"]["state"]) == (1, "fail")
    for folder in ("landing", "lake"):
        (tmp_path / folder).mkdir()
    status, _ = doctor(AWS, **s3(sandbox))
    assert status == 0
    assert {path.name for path in tmp_path.rglob("*")} == {"deliveries.yaml", "file", "landing", "lake"}


def test_a_pool_is_mentioned(sandbox: Sandbox, doctor: Callable[..., Any]) -> None:
    status, found = doctor(AWS, **s3(sandbox, pool="narrow"))
    assert (status, found["Airflow pool"]["state"]) == (0, "optional")


def test_a_delivery_that_is_not_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "deliveries.yaml"
    path.write_text("deliveries:\n  ours:\n    channel: pigeon\n")
    assert main(["doctor", "ours", "--deliveries", str(path)]) == 1
    assert main(["doctor", "theirs", "--deliveries", str(path)]) == 1
    assert "line 2" in capsys.readouterr().err


# --- SFTP ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pairs() -> list[tuple[str, str]]:
    return [rsa_key_pair() for _ in range(3)]


def sftp(server: Any, private: list[str], **source: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    extra = {"private_key": private, "host_key": server.host_key}
    settings = {
        "channel": "sftp",
        "source": {"host": server.host, "port": server.port, "connect_seconds": PATIENCE} | source,
    }
    return {"conn_type": "sftp", "login": "user", "extra": extra}, settings


def test_each_sftp_key_has_a_line(tmp_path: Path, pairs: list[tuple[str, str]], doctor: Callable[..., Any]) -> None:
    root = tmp_path / "served"
    (root / now_key()).parent.mkdir(parents=True)
    (root / now_key()).write_bytes(event())
    with running_sftp(root, SftpPolicy([pairs[2][1]])) as server:
        connection, settings = sftp(server, [private for private, _ in pairs])
        status, found = doctor(connection, **settings)
    expected = ["optional", "optional", "pass"]
    assert (status, [found[f"private key {n}"]["state"] for n in (1, 2, 3)]) == (0, expected)
    assert found["host key"]["state"] == found["reading an event file"]["state"] == "pass"


def test_sizes_that_are_wrong_are_named(
    tmp_path: Path, pairs: list[tuple[str, str]], doctor: Callable[..., Any]
) -> None:
    root = tmp_path / "served"
    (root / now_key()).parent.mkdir(parents=True)
    (root / now_key()).write_bytes(event())
    policy = SftpPolicy([pairs[0][1]], sizes=Sizes.ZERO)
    with running_sftp(root, policy) as server:
        connection, settings = sftp(server, [pairs[0][0]])
        status, found = doctor(connection, **settings)
        assert (status, found["reading an event file"]["state"]) == (1, "fail")
        assert "source.size_is_right: false" in found["reading an event file"]["seen"]
        connection, settings = sftp(server, [pairs[0][0]], size_is_right=False)
        status, found = doctor(connection, **settings)
    assert (status, found["reading an event file"]["state"]) == (0, "pass")


def test_credentials_of_the_other_environment_are_named(
    tmp_path: Path, pairs: list[tuple[str, str]], doctor: Callable[..., Any]
) -> None:
    root = tmp_path / "served"
    root.mkdir()
    from asyncssh import generate_private_key

    host_key = generate_private_key("ssh-ed25519").export_private_key().decode()
    with (
        running_sftp(root, SftpPolicy([]), host_key=host_key) as ours,
        running_sftp(root, SftpPolicy([pairs[0][1]]), host_key=host_key) as theirs,
    ):
        connection, settings = sftp(ours, [pairs[0][0]])
        other = f"{theirs.host}:{theirs.port}"
        status, found = doctor(connection, "--other-host", other, **settings)
        assert (status, found["private key 1"]["state"]) == (1, "fail")
        assert "production endpoint accepts these credentials" in found["environment"]["seen"]
        ours.change_host_key()
        status, found = doctor(connection, **settings)
        assert (status, found["host key"]["state"], found["private keys"]["state"]) == (1, "fail", "skipped")
    status, found = doctor(connection, **settings)
    assert (status, found["server"]["state"]) == (1, "fail")
    status, found = doctor(connection | {"password": "a-password-of-somebody"}, **settings)
    assert (status, found["connection"]["state"]) == (1, "fail")


# --- GCS -------------------------------------------------------------------------------------------------------


def test_a_gcs_delivery(doctor: Callable[..., Any]) -> None:
    connection = {"conn_type": "google_cloud_platform", "extra": {"project": "our-project", "is_anonymous": "true"}}
    with running_gcp() as cloud:
        sink = GcsSink(cloud.storage)
        sink.put(now_key(), event())
        sink.close()
        source = {"bucket": BUCKET, "prefix": "copied/main_stream", "endpoint_url": cloud.storage}
        told = {"channel": "pubsub", "queue": SUBSCRIPTION, "conn_id": "pismo", "endpoint_url": cloud.pubsub}
        status, found = doctor(connection, channel="gcs", source=source, notices=told)
        assert (status, other_states(found)) == (0, {})
        status, found = doctor(connection, channel="gcs", source=source | {"bucket": "none"}, notices=told)
        assert (status, found["listing"]["state"]) == (1, "fail")


# --- contracts and privacy -------------------------------------------------------------------------------------


def test_contracts_and_privacy_are_looked_at(
    doctor: Callable[..., Any], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, found = doctor(AWS, **s3(sandbox))
    assert (found["contracts"]["state"], found["privacy"]["state"]) == ("pass", "optional")
    strict = s3(sandbox, privacy="strict", privacy_key_conn_id="privacy_key")
    _, found = doctor(AWS, **strict)
    assert found["privacy"]["state"] == "fail"
    secret = "a secret nobody should read"
    monkeypatch.setenv(
        "AIRFLOW_CONN_PRIVACY_KEY", json.dumps({"conn_type": "generic", "login": "k1", "password": secret})
    )
    _, found = doctor(AWS, **strict)
    assert found["privacy"]["state"] == "pass"
    assert "key k1" in found["privacy"]["seen"]
    assert secret not in json.dumps(found)
    (tmp_path / "lake").mkdir(exist_ok=True)
    (tmp_path / "lake" / MARK).write_text('{"policy": "strict"}')
    (tmp_path / "schemas" / "pix").mkdir(parents=True)
    (tmp_path / "schemas" / "pix" / "pix_in-1.json").write_text("{")
    _, found = doctor(AWS, **s3(sandbox, contracts={"folder": "schemas"}))
    assert (found["contracts"]["state"], found["privacy"]["state"]) == ("fail", "fail")
    assert "pix_in-1.json" in found["contracts"]["seen"]


# --- the letter to Pismo ---------------------------------------------------------------------------------------


@pytest.fixture
def letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Write the letter of a delivery with these settings; no secret is in it."""

    def run(connection: dict[str, Any], **settings: Any) -> str:
        monkeypatch.setenv("AIRFLOW_CONN_PISMO", json.dumps(connection))
        path = write_deliveries(tmp_path, settings)
        main(["doctor", "ours", "--deliveries", str(path), "--letter"])
        said = capsys.readouterr().out
        for secret in (CONSUMER_SECRET, CONSUMER_KEY, "PRIVATE KEY", connection.get("password") or CONSUMER_SECRET):
            assert secret not in said
        return " ".join(said.split())

    return run


def test_the_letter_asks_for_what_is_missing_at_s3(sandbox: Sandbox, letter: Callable[..., Any]) -> None:
    bucket, role = sandbox.policy.bucket, sandbox.policy.role_arn
    said = letter(AWS, **s3(sandbox))
    assert "All rights that we need are there" in said
    assert "These checks passed already: role, listing, reading an event file." in said
    sandbox.policy.list_allowed = False
    said = letter(AWS, **s3(sandbox))
    assert f"s3:ListBucket on arn:aws:s3:::{bucket}" in said
    assert "assume arn" not in said.partition("Please:")[2]
    sandbox.policy.external_id = "another"
    more = s3(sandbox)
    more["source"] = more["source"] | {"external_id": "our-external-id"}
    said = letter(AWS, **more)
    assert f"Role to assume: {role} External id: our-external-id" in said
    wishes = said.partition("Please:")[2]
    assert f"assume {role} (sts:AssumeRole)" in wishes
    assert f"s3:GetObject on arn:aws:s3:::{bucket}/main_stream/*" in wishes
    assert "kms:Decrypt" in wishes
    assert "not for Pismo" not in said


def test_the_letter_names_role_and_topic_of_the_kit(letter: Callable[..., Any], tmp_path: Path) -> None:
    """A session's ARN is that of its role, and the topic is that of the queue's policy."""
    with running_account(tmp_path) as account:
        org = ORGANISATION.lower()
        user = f"arn:aws:iam::{ACCOUNT}:user/airflow"
        account.deploy("pismo", OrganisationId=org, PismoAccountId=ACCOUNT, AirflowPrincipalArn=user)
        rights = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": account.outputs["AirflowRoleArn"]}
        session = account.assumed(account.outputs["AirflowRoleArn"], account.user("airflow", rights))
        extra = {"region_name": "us-east-1", "aws_session_token": session.token}
        connection = {"conn_type": "aws", "login": session.key, "password": session.secret, "extra": extra}
        source = {"pismo_account_id": ACCOUNT, "endpoint_url": account.endpoint, "region": "us-east-1"}
        queue = {"queue": account.outputs["QueueUrl"], "endpoint_url": account.endpoint, "region": "us-east-1"}
        told = {"channel": "sqs", "conn_id": "pismo", **queue}
        account.enforce()
        said = letter(connection, channel="s3", source=source, notices=told)
    assert f"Our identity: {account.outputs['AirflowRoleArn']} " in said
    assert f"new bucket object): {account.outputs['TopicArn']} " in said
    assert session.token not in said


def test_the_letter_has_the_public_keys_that_are_not_registered(
    tmp_path: Path, pairs: list[tuple[str, str]], letter: Callable[..., Any]
) -> None:
    root = tmp_path / "served"
    (root / now_key()).parent.mkdir(parents=True)
    (root / now_key()).write_bytes(event())
    with running_sftp(root, SftpPolicy([pairs[1][1]])) as server:
        connection, settings = sftp(server, [private for private, _ in pairs[:2]])
        said = letter(connection, **settings)
        assert " ".join(pairs[0][1].split()[:2]) in said
        assert pairs[1][1].split()[1] not in said
        said = letter(connection | {"extra": {}}, **settings)
    assert "Tell us our user name" in said
    assert "--- not for Pismo --- Fix these on your own side first (pismo doctor ours says how): connection" in said


def test_the_letter_of_a_gcs_delivery(letter: Callable[..., Any]) -> None:
    connection = {"conn_type": "google_cloud_platform", "extra": {"project": "our-project", "is_anonymous": "true"}}
    with running_gcp() as cloud:
        source = {"bucket": BUCKET, "prefix": "copied/main_stream", "endpoint_url": cloud.storage}
        told = {"channel": "pubsub", "queue": SUBSCRIPTION, "conn_id": "pismo", "endpoint_url": cloud.pubsub}
        said = letter(connection, channel="gcs", source=source, notices=told)
    assert f"Our bucket: gs://{BUCKET} Folder in it: copied/main_stream" in said
    assert "Tell us the service account that copies the files" in said
    assert f"Pub/Sub topic, at least those of new files (domain dataplatform, new bucket object): {TOPIC}" in said
