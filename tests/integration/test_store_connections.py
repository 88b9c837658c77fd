"""Landing and lake on gs:// and abfss:// by a delivery's Airflow connection, on emulators."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas
from tests.stores import AZURE_ACCOUNT, Place, running_place

from pismo.checks.check import State
from pismo.checks.doctor import examine
from pismo.connect.storage import GOOGLE_DEFAULT, configure_storage, gs_options
from pismo_lake import storage
from pismo_lake.errors import ConfigError, StorageRefused, StorageUnavailable
from pismo_lake.settings.channels import Channel, Environment, GcsSource
from pismo_lake.settings.deliveries import Delivery
from pismo_lake.storage import gs, registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Google's session leaves the answer that made it renew its credentials open until it is collected
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running_place("gs", tmp_path_factory.mktemp("gs")) as running:
        yield running


@pytest.fixture
def connect(place: Place, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Define an Airflow connection to the emulator."""
    monkeypatch.setattr(registry, "_STORES", dict(registry._STORES))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file.json")

    def define(name: str, conn_type: str = "google_cloud_platform", **extra: Any) -> None:
        whole = {"project": "our-project", "is_anonymous": "true", **place.options} | extra
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps({"conn_type": conn_type, "extra": whole}))

    return define


def delivery(place: Place, conn_id: str | None) -> Delivery:
    return Delivery(
        name="ours", organisation="TN-1", environment=Environment.SANDBOX, channel=Channel.GCS, conn_id="lake_google",
        landing=f"{place.root}/landing", lake=f"{place.root}/lake", ledger_url="sqlite://",
        storage_conn_id=conn_id, source=GcsSource("our-lake", endpoint_url=place.options.get("api_endpoint")),
    )  # fmt: skip


@pytest.mark.parametrize(("conn_id", "name"), [("lake_google", "lake_google"), (None, GOOGLE_DEFAULT)])
def test_the_named_connection_or_googles_default(
    place: Place, connect: Callable[..., None], conn_id: str | None, name: str
) -> None:
    connect(name)
    configure_storage(delivery(place, conn_id))
    uri = f"{place.root}/landing/{name}"
    assert storage.create(uri, b"first")
    assert not storage.create(uri, b"second")
    assert f"landing/{name}" in place.hand.names()


def test_without_a_connection_the_machines_own_credentials_are_used(place: Place, connect: Callable[..., None]) -> None:
    configure_storage(delivery(place, None))
    with pytest.raises(StorageRefused, match=r"gs://.*DefaultCredentialsError: File /no/such/file.json"):
        storage.read_bytes(f"{place.root}/landing/x")


def test_a_connection_of_another_cloud_is_named(place: Place, connect: Callable[..., None]) -> None:
    connect("amazon", "aws")
    with pytest.raises(ConfigError, match="connection amazon of type aws is not for gs://"):
        configure_storage(delivery(place, "amazon"))
    connect("lake_google")
    at_amazon = replace(delivery(place, "lake_google"), landing="s3://b/landing", lake="s3://b/lake")
    with pytest.raises(ConfigError, match="connection lake_google of type google_cloud_platform is not for s3://"):
        configure_storage(at_amazon)
    with pytest.raises(ConfigError, match="storage_conn_id names nowhere, and there is no such connection"):
        configure_storage(delivery(place, "nowhere"))
    # of two clouds, one has the connection and the other the machine's own credentials
    configure_storage(replace(at_amazon, lake=f"{place.root}/lake"))
    assert storage.create(f"{place.root}/lake/mixed", b"x")


def test_credentials_that_cannot_be_had_are_told(connect: Callable[..., None]) -> None:
    connect("lake_google", is_anonymous=False)
    with pytest.raises(StorageRefused, match="connection lake_google gives no Google credentials: DefaultCred"):
        gs_options("lake_google")


def test_a_kms_key_of_amazon_is_refused(place: Place) -> None:
    with pytest.raises(ValueError, match="lake_kms_key is a key of AWS: on another cloud"):
        replace(delivery(place, "lake_google"), lake_kms_key="alias/lake")


def test_the_doctor_tries_the_store(place: Place, connect: Callable[..., None], tmp_path: Path) -> None:
    connect("lake_google")
    place.hand.put("main_stream/2026/3/1/9/a", b"{}")
    ours = replace(delivery(place, "lake_google"), ledger_url=f"sqlite:///{tmp_path}/ledger.db")
    found = {check.name: check for check in examine(ours)}
    assert {check.name: check.seen for check in found.values() if check.state is State.FAIL} == {}
    assert found["lake writable"].seen == ours.lake
    assert found["landing never overwritten"].seen == "refused by the disk or the store itself"
    assert not [name for name in place.hand.names() if "_doctor" in name]
    missing = replace(ours, lake="gs://no-such-bucket-anywhere/lake")
    seen = {check.name: check.seen for check in examine(missing) if check.state is State.FAIL}
    assert list(seen) == ["lake writable", "privacy"]
    assert "cannot be written: NotFound" in seen["lake writable"]


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(registry, "_STORES", dict(registry._STORES))
    with running_place("abfss", tmp_path) as running:
        yield running


def test_azure_by_a_connection(azure: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of the account, a token of it, and a key that is wrong."""
    url, key = azure.options["account_url"], azure.options["credential"]
    token = generate_account_sas(
        AZURE_ACCOUNT, account_key=key, resource_types=ResourceTypes(service=True, container=True, object=True),
        permission=AccountSasPermissions(read=True, write=True, delete=True, list=True, create=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )  # fmt: skip
    ours = replace(delivery(azure, "lake_azure"), landing=f"{azure.root}/landing", lake=f"{azure.root}/lake")
    wrong = "d3Jvbmc="
    for number, (secret, extra) in enumerate([(key, {}), ("", {"sas_token": token}), (wrong, {})]):
        connection = {"conn_type": "wasb", "password": secret, "extra": {"account_url": url} | extra}
        monkeypatch.setenv("AIRFLOW_CONN_LAKE_AZURE", json.dumps(connection))
        configure_storage(ours)
        uri = f"{azure.root}/landing/{number}"
        if secret != wrong:
            assert storage.create(uri, b"first")
            assert not storage.create(uri, b"second")
            continue
        for work in (lambda: storage.read_bytes(uri), lambda: storage.create(uri, b"x")):  # noqa: B023
            with pytest.raises(StorageRefused, match=r"AuthorizationFailure|AuthenticationFailed") as raised:
                work()
            assert wrong not in str(raised.value)
    with pytest.raises(ConfigError, match="connection lake_azure of type wasb is not for gs://"):
        configure_storage(replace(ours, landing="gs://b/landing", lake="gs://b/lake"))


class Refusing(BaseHTTPRequestHandler):
    """Answers each request with one error, in the form that Google gives."""

    status, reason, message = 403, "forbidden", ""

    def answer(self) -> None:
        # the body is read: a connection is used again
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        error = {"code": self.status, "message": self.message, "errors": [{"reason": self.reason}]}
        body = json.dumps({"error": error}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815 - names of the base class

    def log_message(self, *_: object) -> None:
        """Nothing."""


SPILL = "Bearer-secret-token https://user:hunter2@proxy/"


@pytest.mark.parametrize(
    ("status", "reason", "message", "error", "says"),
    [
        (
            403,
            "forbidden",
            "x@y does not have storage.objects access",
            StorageRefused,
            "storage_conn_id the rights",
        ),
        (401, "authError", "Invalid Credentials", StorageRefused, "check the credentials of the connection"),
        (400, "invalid", "Invalid bucket name", StorageRefused, "Invalid bucket name"),
        (403, "forbidden", "Permission denied on Cloud KMS key", StorageRefused, "let Cloud Storage use it"),
        (404, "notFound", "The specified bucket does not exist.", StorageRefused, "check the bucket's name"),
        (403, "userRateLimitExceeded", "Too many of you", StorageUnavailable, "userRateLimitExceeded: Too many of you"),
        (429, "rateLimitExceeded", "The object exceeded its rate", StorageUnavailable, "rateLimitExceeded"),
        (503, "backendError", "Backend Error", StorageUnavailable, "Backend Error"),
    ],
)
def test_faults_of_the_store(
    connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch, status: int, reason: str, message: str,
    error: type[Exception], says: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(gs, "_GIVES_UP", 0.2)
    for name, value in (("status", status), ("reason", reason), ("message", f"{message} {SPILL}")):
        monkeypatch.setattr(Refusing, name, value)
    uri = "gs://our-lake/landing/file"
    works: list[Callable[[], Any]] = [
        lambda: storage.read_bytes(uri), lambda: storage.read_range(uri, 0, 1), lambda: storage.exists(uri),
        lambda: storage.size(uri), lambda: storage.write_atomic(uri, b"x"), lambda: storage.create(uri, b"x"),
        lambda: storage.remove(uri), lambda: list(storage.list_files(uri)), lambda: storage.open_for_reading(uri),
    ]  # fmt: skip
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        connect("lake_google", api_endpoint=f"http://127.0.0.1:{server.server_port}")
        storage.configure("gs", gs_options("lake_google"))
        for work in works:
            with pytest.raises(error) as raised:
                work()
            text = str(raised.value)
            assert text.startswith(f"{uri} cannot be ")
            assert says in text
            assert not any(word in text for word in ("Bearer-secret", "hunter2", "127.0.0.1"))
            assert raised.value.permanent is (error is StorageRefused)  # type: ignore[attr-defined]
        server.shutdown()


def test_a_store_that_does_not_answer(connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gs, "_GIVES_UP", 0.2)
    connect("lake_google", api_endpoint="http://127.0.0.1:1")
    storage.configure("gs", gs_options("lake_google"))
    for work in (lambda: storage.read_bytes("gs://our-lake/x"), lambda: storage.create("gs://our-lake/x", b"x")):
        with pytest.raises(StorageUnavailable, match="gs://our-lake/x cannot be"):
            work()
