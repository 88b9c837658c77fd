"""Test the S3 channel with the look-alike: the role is needed, listing is optional."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from tests.lakes import LakeUnderTest, event

from pismo.connect.storage import configure_storage
from pismo.hooks.s3 import PismoS3Hook
from pismo.runs.window import window_of
from pismo_lake import storage
from pismo_lake.errors import (
    AccessDenied,
    ConfigError,
    FileArchived,
    FileMissing,
    KmsDenied,
    ListingDenied,
    PismoError,
    RoleDenied,
    SourceRefused,
    SourceUnavailable,
)
from pismo_lake.hours import PublishHour
from pismo_lake.index.run import index_landed
from pismo_lake.landing.land import land_files
from pismo_lake.landing.remote_file import RemoteFile
from pismo_lake.settings.channels import Channel, Environment, S3Source
from pismo_lake.settings.deliveries import Delivery
from pismo_sandbox.feed.events import ORGANISATION
from pismo_sandbox.s3.server import ACCOUNT, CONSUMER_KEY, CONSUMER_SECRET, Policy, Sandbox, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

pytestmark = pytest.mark.integration
KEY = "main_stream/2026/3/1/9/file"
HOUR = PublishHour.parse("2026-03-01T09")


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Yield the running look-alike, empty, with every right, and the consumer's connection."""
    fresh = Policy()
    for name in (
        "list_allowed",
        "kms_allowed",
        "role_allowed",
        "session_seconds",
        "longest_session",
        "external_id",
        "cut_after",
        "throttled",
    ):
        setattr(server.policy, name, getattr(fresh, name))
    server.policy.vanished.clear()
    server.policy.log.clear()
    s3 = server.admin("s3")
    for item in s3.list_objects_v2(Bucket=server.policy.bucket).get("Contents", ()):
        s3.delete_object(Bucket=server.policy.bucket, Key=item["Key"])
    connection = {"conn_type": "aws", "login": CONSUMER_KEY, "password": CONSUMER_SECRET}
    monkeypatch.setenv("AIRFLOW_CONN_PISMO", json.dumps(connection))
    return server


def delivery(sandbox: Sandbox, **source: Any) -> Delivery:
    base = {"pismo_account_id": ACCOUNT, "endpoint_url": sandbox.endpoint, "region": "us-east-1"}
    return Delivery(
        name="s3_test", organisation=ORGANISATION, environment=Environment.SANDBOX, channel=Channel.S3, conn_id="pismo",
        landing="no-landing", lake="no-lake", ledger_url="sqlite://", source=S3Source(**base | source),
    )  # fmt: skip


def put(sandbox: Sandbox, key: str = KEY, body: bytes = b"{}") -> None:
    sandbox.admin("s3").put_object(Bucket=sandbox.policy.bucket, Key=key, Body=body)


def fetched(hook: PismoS3Hook, key: str = KEY) -> bytes:
    with hook.fetch(RemoteFile(key, None)) as chunks:
        return b"".join(chunks)


def test_bucket_and_role_come_from_the_organisation(sandbox: Sandbox) -> None:
    hook = PismoS3Hook(delivery(sandbox))
    assert hook.bucket == f"pismo-dataplatform-{ORGANISATION.lower()}"
    assert hook.role == f"arn:aws:iam::{ACCOUNT}:role/dataplatform-consumer-{ORGANISATION.lower()}"
    other = PismoS3Hook(delivery(sandbox, bucket="b", role_arn="arn:aws:iam::1:role/r"))
    assert (other.bucket, other.role) == ("b", "arn:aws:iam::1:role/r")


def test_hour_folders_padded_or_not(sandbox: Sandbox) -> None:
    keys = [
        "main_stream/2026/3/1/9/plain",
        "main_stream/2026/03/01/09/padded",
        "main_stream/year=2026/month=03/day=01/hour=09/hive",
    ]
    for key in (*keys, "main_stream/2026/3/1/19/other-hour", "reports/x.parquet"):
        put(sandbox, key)
    assert sorted(file.key for file in PismoS3Hook(delivery(sandbox)).list_files([HOUR])) == sorted(keys)


def test_the_users_own_keys_open_nothing(sandbox: Sandbox) -> None:
    put(sandbox)
    with pytest.raises(Exception, match="AccessDenied"):
        sandbox.consumer("s3").get_object(Bucket=sandbox.policy.bucket, Key=KEY)
    assert fetched(PismoS3Hook(delivery(sandbox))) == b"{}"


def test_without_list_bucket_a_known_key_can_be_fetched(sandbox: Sandbox) -> None:
    put(sandbox)
    sandbox.policy.list_allowed = False
    hook = PismoS3Hook(delivery(sandbox))
    with pytest.raises(ListingDenied, match="s3:ListBucket"):
        list(hook.list_files([HOUR]))
    assert fetched(hook) == b"{}"
    assert {method for method, _, status in sandbox.policy.log if status == 200} == {"GET"}


def test_a_percent_encoded_key_is_tried_decoded(sandbox: Sandbox) -> None:
    put(sandbox, "main_stream/2026/3/1/9/a=b c")
    sandbox.policy.list_allowed = False
    assert fetched(PismoS3Hook(delivery(sandbox)), "/main_stream/2026/3/1/9/a%3Db%20c") == b"{}"


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        ({"role_allowed": False}, RoleDenied, "dataplatform-consumer"),
        ({"external_id": "needed"}, RoleDenied, "AssumeRole"),
        ({"kms_allowed": False}, KmsDenied, "kms:Decrypt"),
        ({"vanished": {KEY}}, FileMissing, KEY),
        ({"vanished": {KEY}, "list_allowed": False}, AccessDenied, KEY),
        ({"throttled": 50}, SourceUnavailable, "SlowDown"),
    ],
)
def test_faults_have_names_and_no_secrets(
    sandbox: Sandbox, fault: dict[str, Any], error: type[PismoError], says: str
) -> None:
    put(sandbox)
    for name, value in fault.items():
        setattr(sandbox.policy, name, value)
    with pytest.raises(error, match=says) as raised:
        fetched(PismoS3Hook(delivery(sandbox)))
    assert CONSUMER_SECRET not in str(raised.value)
    assert raised.value.permanent is issubclass(error, AccessDenied)
    sandbox.policy.throttled = 0


@pytest.mark.parametrize(
    ("operation", "code", "message", "error", "says"),
    [
        ("GetObject", "InvalidObjectState", "not valid for its storage class", FileArchived, "restore it"),
        ("GetObject", "RequestTimeTooSkewed", "too large", SourceRefused, "NTP"),
        ("GetObject", "PermanentRedirect", "elsewhere", SourceRefused, "another region"),
        ("ListObjectsV2", "NoSuchBucket", "no such bucket", SourceRefused, "check the bucket's name"),
        ("ListObjectsV2", "AccessDenied", "no identity-based policy allows it", ListingDenied, "s3:ListBucket"),
        ("GetObject", "KMS.DisabledException", "key is disabled", KmsDenied, "enable it again"),
        ("GetObject", "InvalidAccessKeyId", "no such key", AccessDenied, "check the credentials"),
        ("GetObject", "ExpiredToken", "expired", SourceUnavailable, "expired"),
        ("AssumeRole", "AccessDenied", "not authorized to perform: sts:AssumeRole", RoleDenied, "must trust"),
        ("AssumeRole", "ValidationError", "1 hour session limit for role chaining", RoleDenied, "session_seconds"),
        ("AssumeRole", "ExpiredToken", "expired", RoleDenied, "new session token"),
        ("AssumeRole", "SignatureDoesNotMatch", "Signature expired: 1", RoleDenied, "NTP"),
        ("AssumeRoleWithWebIdentity", "InvalidIdentityToken", "no provider", RoleDenied, "check the credentials"),
        ("AssumeRole", "Throttling", "rate exceeded", SourceUnavailable, "try again"),
    ],
)
def test_aws_own_reason_is_in_the_error(
    sandbox: Sandbox, operation: str, code: str, message: str, error: type[PismoError], says: str
) -> None:
    hook = PismoS3Hook(delivery(sandbox))
    answer: Any = {"Error": {"Code": code, "Message": f"{message}. secret={CONSUMER_SECRET}"}}
    found = hook.convert_error(ClientError(answer, operation), KEY, listing=operation == "ListObjectsV2")
    assert type(found) is error
    assert f"{code}: {message}" in str(found)
    assert says in str(found)
    assert (hook.bucket if "Assume" not in operation else hook.role) in str(found)
    assert CONSUMER_SECRET not in str(found)
    assert found.permanent is (error is not SourceUnavailable)


def test_a_session_that_is_too_long_is_refused_at_once(sandbox: Sandbox) -> None:
    put(sandbox)
    sandbox.policy.longest_session = 3600
    with pytest.raises(
        RoleDenied, match=r"ValidationError: The requested .*; set session_seconds to no more"
    ) as raised:
        fetched(PismoS3Hook(delivery(sandbox, session_seconds=7200)))
    assert raised.value.permanent


def test_config_of_the_connection_is_kept_beside_ours(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"proxies": {"https": "http://proxy:3128"}, "read_timeout": 7}
    connection = {"conn_type": "aws", "login": CONSUMER_KEY, "password": CONSUMER_SECRET}
    monkeypatch.setenv("AIRFLOW_CONN_PISMO", json.dumps(connection | {"extra": {"config_kwargs": config}}))
    found = PismoS3Hook(delivery(sandbox)).get_conn().meta.config
    assert (found.proxies, found.read_timeout, found.connect_timeout) == (config["proxies"], 7, 10)


def test_external_id_is_handed_on(sandbox: Sandbox) -> None:
    put(sandbox)
    sandbox.policy.external_id = "agreed"
    assert fetched(PismoS3Hook(delivery(sandbox, external_id="agreed"))) == b"{}"


def test_a_download_cut_in_the_middle_is_a_passing_error(sandbox: Sandbox) -> None:
    put(sandbox, body=b"x" * 5_000_000)
    sandbox.policy.cut_after = 1_000_000
    with pytest.raises(SourceUnavailable):
        fetched(PismoS3Hook(delivery(sandbox)))


def test_credentials_are_refreshed_when_the_session_runs_out(sandbox: Sandbox) -> None:
    put(sandbox)
    hook = PismoS3Hook(delivery(sandbox))
    assert fetched(hook) == b"{}"
    first = set(sandbox.policy.sessions)
    credentials = hook.get_conn()._request_signer._credentials
    # within the refresh window of botocore, as an hour-long session is at its end
    credentials._expiry_time = datetime.now(UTC)
    assert fetched(hook) == b"{}"
    assert set(sandbox.policy.sessions) > first


def test_landing_through_the_hook_to_a_lake_on_s3(sandbox: Sandbox, tmp_path: Path) -> None:
    """Raw, index, contracts and Parquet all on object storage, through the same code."""
    from pismo_lake.build.hour import build_hour
    from pismo_sandbox.s3.server import ADMIN_KEY, ADMIN_SECRET, OWN_BUCKET

    storage.configure("s3", lambda: {"key": ADMIN_KEY, "secret": ADMIN_SECRET, "endpoint_url": sandbox.endpoint})
    put(sandbox, body=event("a", {"amount": 1}) + event("a", {"amount": 1}) + event("b", {"amount": 2}))
    under_test = LakeUnderTest(tmp_path)
    settings = replace(under_test.settings, lake=f"s3://{OWN_BUCKET}/lake", landing=f"s3://{OWN_BUCKET}/landing")
    hook = PismoS3Hook(delivery(sandbox))
    files = list(hook.list_files([HOUR]))
    landed = land_files(settings, under_test.ledger, files, hook.fetch)
    assert (landed.summary.files, landed.summary.publish_hours) == (1, (str(HOUR),))
    assert index_landed(settings, under_test.ledger).events == 3
    built = build_hour(settings, under_test.ledger, HOUR)
    assert (built.rows, built.duplicates) == (2, 1)
    names = list(storage.list_files(settings.lake))
    assert sum("/events/" in name for name in names) == 1
    assert storage.read_bytes(f"{settings.landing}/test/{KEY}").startswith(b'{"event_id":"a"')


def test_credentials_of_the_storage_are_renewed_before_they_end(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints = {service: {"endpoint_url": sandbox.endpoint} for service in ("s3", "sts")}
    extra = {"role_arn": sandbox.policy.role_arn, "region_name": "us-east-1", "service_config": endpoints}
    connection = {"conn_type": "aws", "login": CONSUMER_KEY, "password": CONSUMER_SECRET}
    options: list[Callable[[], Mapping[str, Any]]] = []
    monkeypatch.setattr(storage, "configure", lambda _, given: options.append(given))
    for seconds in (3600, 900):
        given = connection | {"extra": extra | {"assume_role_kwargs": {"DurationSeconds": seconds}}}
        monkeypatch.setenv("AIRFLOW_CONN_STORAGE", json.dumps(given))
        configure_storage(replace(delivery(sandbox), storage_conn_id="storage"))
    an_hour, near_its_end = options
    assert an_hour()["endpoint_url"] == sandbox.endpoint
    assert len({an_hour()["token"] for _ in range(3)}) == 1
    # botocore renews credentials that end within a quarter of an hour
    assert len({near_its_end()["token"] for _ in range(3)}) == 3


def test_storage_without_credentials_is_told(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_STORAGE", json.dumps({"conn_type": "aws"}))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="connection storage has no AWS credentials"):
        configure_storage(replace(delivery(sandbox), storage_conn_id="storage"))


def test_windows(sandbox: Sandbox) -> None:
    feed = delivery(sandbox)
    end = datetime(2026, 3, 1, 12, 15, tzinfo=UTC)
    scheduled = window_of({"params": {}, "data_interval_start": end, "data_interval_end": end}, feed)  # type: ignore[typeddict-item]
    assert (str(scheduled.hours[0]), str(scheduled.hours[-1])) == ("2026-03-01T08", "2026-03-01T13")
    given = {"window_start": "2026-03-01T05:00:00Z", "window_end": "2026-03-01T05:30:00Z", "force": True}
    manual = window_of({"params": given}, feed)  # type: ignore[typeddict-item]
    assert [str(hour) for hour in manual.hours] == ["2026-03-01T04", "2026-03-01T05", "2026-03-01T06"]
    assert manual.force
    keys = window_of({"params": {"object_keys": ["/main_stream/x ", ""]}}, feed)  # type: ignore[typeddict-item]
    assert (keys.hours, keys.object_keys) == ((), ("main_stream/x",))
    for wrong in ({"window_start": "soon"}, {"window_start": "2026-03-02", "window_end": "2026-03-01"}):
        with pytest.raises(ConfigError):
            window_of({"params": wrong}, feed)  # type: ignore[typeddict-item]
    with pytest.raises(ConfigError, match="at most"):
        window_of({"params": {"window_start": "2020-01-01", "window_end": "2026-01-01"}}, feed)  # type: ignore[typeddict-item]


def test_what_a_sandbox_holds_ends_with_it() -> None:
    """Run by itself: another one that runs here would keep the state alive."""
    code = (
        "from pismo_sandbox.s3.server import running_sandbox\n"
        "for _ in range(2):\n"
        "    with running_sandbox() as sandbox:\n"
        "        s3, bucket = sandbox.admin('s3'), sandbox.policy.bucket\n"
        "        print(s3.list_objects_v2(Bucket=bucket)['KeyCount'])\n"
        "        s3.put_object(Bucket=bucket, Key='a', Body=b'x')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "include")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["0", "0"]
