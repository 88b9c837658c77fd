"""Test landing and lake in stores that differ from AWS's: no raw file is overwritten.

Connections are used as they are set, and errors name the fault.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.lakes import LakeUnderTest, event

from pismo.checks.doctor import examine
from pismo.connect.storage import configure_storage
from pismo_lake import storage
from pismo_lake.build.hour import build_hour
from pismo_lake.build.units import refuse_unbuilt
from pismo_lake.check import run as check_run
from pismo_lake.check.model import Kind
from pismo_lake.check.run import check_lake
from pismo_lake.errors import ConfigError, StorageRefused, StorageUnavailable
from pismo_lake.hours import PublishHour
from pismo_lake.index.run import index_landed
from pismo_lake.landing.land import land_files
from pismo_lake.landing.remote_file import RemoteFile
from pismo_lake.local.workers import Workers
from pismo_lake.settings.channels import Channel, Environment, S3Source
from pismo_lake.settings.deliveries import Delivery
from pismo_lake.storage import create_once, registry
from pismo_sandbox.s3.odd_store import KEY, SECRET, Answer, Dial, OddStore, running_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
CONDITIONS = ["known", "refused", "conflict", "ignored"]
HOUR = "main_stream/2026/3/1/9"


@pytest.fixture(scope="module")
def running() -> Iterator[OddStore]:
    with running_store() as store:
        yield store


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make a store the storage of a delivery by an Airflow connection with these extras."""

    def connected(store: OddStore, **extra: Any) -> None:
        whole = {"region_name": "us-east-1", "endpoint_url": store.endpoint} | extra
        connection = {"conn_type": "aws", "login": KEY, "password": SECRET, "extra": whole}
        monkeypatch.setenv("AIRFLOW_CONN_STORAGE", json.dumps(connection))
        configure_storage(delivery(store))

    # each test finds out about the store by itself
    monkeypatch.setattr(create_once, "_REFUSES", {})
    monkeypatch.setattr(registry, "_STORES", dict(registry._STORES))
    return connected


@pytest.fixture
def store(running: OddStore, connect: Callable[..., None]) -> Iterator[OddStore]:
    """Yield the running store without any fault, and the storage of a delivery."""
    for name, value in vars_of(Dial()).items():
        setattr(running.dial, name, value)
    connect(running)
    yield running
    running.dial.fault = running.dial.before_put = None


def vars_of(dial: Dial) -> dict[str, Any]:
    return {name: getattr(dial, name) for name in dial.__slots__}


def delivery(store: OddStore) -> Delivery:
    return Delivery(
        name="odd", organisation="TN-1", environment=Environment.SANDBOX, channel=Channel.S3, conn_id="pismo",
        landing=f"s3://{store.bucket}/landing", lake=f"s3://{store.bucket}/lake", ledger_url="sqlite://",
        storage_conn_id="storage", source=S3Source(pismo_account_id="123456789012"),
    )  # fmt: skip


# --- nothing raw is overwritten --------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", CONDITIONS)
def test_an_object_is_created_once(store: OddStore, condition: Any, caplog: pytest.LogCaptureFixture) -> None:
    store.dial.condition = condition
    root = f"s3://{store.bucket}/landing/{condition}"
    for number in range(2):
        assert storage.create(f"{root}/{number}", b"first")
        assert not storage.create(f"{root}/{number}", b"second")
        assert storage.read_bytes(f"{root}/{number}") == b"first"
    assert storage.is_refused(f"{root}/2") is (condition == "known")
    # found out once, said once, and nothing is left of the tries and claims
    assert caplog.text.count("does not refuse to overwrite") == (condition != "known")
    assert sum(".tried." in path and method == "DELETE" for method, path, _ in store.dial.log) == 1
    assert storage.hidden_files(root) == []
    assert [uri.rsplit("/", 1)[-1] for uri in storage.list_files(root)] == ["0", "1"]


@pytest.mark.parametrize("first", CONDITIONS)
@pytest.mark.parametrize("then", CONDITIONS)
def test_a_store_that_changes_its_mind_overwrites_nothing(
    store: OddStore, first: Any, then: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(create_once, "_pause", lambda _: None)
    uri = f"s3://{store.bucket}/landing/changing-{first}-{then}"
    store.dial.condition = first
    assert storage.create(f"{uri}/a", b"first")
    store.dial.condition = then
    assert not storage.create(f"{uri}/a", b"second")
    assert storage.create(f"{uri}/b", b"first")
    assert not storage.create(f"{uri}/b", b"second")
    assert storage.read_bytes(f"{uri}/a") == storage.read_bytes(f"{uri}/b") == b"first"


@pytest.mark.parametrize("condition", ["refused", "ignored"])
def test_two_writers_at_one_moment(store: OddStore, condition: Any) -> None:
    """The first one is stopped at its very last step until the second one has begun."""
    store.dial.condition = condition
    uri, key = f"s3://{store.bucket}/landing/both-{condition}", f"landing/both-{condition}"
    assert not storage.is_refused(uri)
    second_began, claims = threading.Event(), []

    def before(path: str) -> None:
        if ".claim/" in path:
            claims.append(path)
            if len(claims) == 2:
                second_began.set()
        if path == key:
            assert second_began.wait(30)

    store.dial.before_put = before
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda data: storage.create(uri, data), (b"one", b"two"))
    assert one is not two
    assert storage.read_bytes(uri) == (b"one" if one else b"two")
    writes = [path for method, path, _ in store.dial.log if method == "PUT" and path.endswith(key)]
    assert len(writes) == 1


def test_many_writers_at_one_moment(store: OddStore) -> None:
    store.dial.condition = "ignored"
    uri = f"s3://{store.bucket}/landing/many"
    start = threading.Barrier(4)

    def write(number: int) -> bool:
        start.wait()
        return storage.create(uri, b"%d" % number)

    with ThreadPoolExecutor(4) as pool:
        created = list(pool.map(write, range(4)))
    assert created.count(True) == 1
    assert storage.read_bytes(uri) == b"%d" % created.index(True)
    assert sum(method == "PUT" and path.endswith("/landing/many") for method, path, _ in store.dial.log) == 1


def test_the_claim_of_a_killed_writer_ends(store: OddStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.dial.condition = "ignored"
    monkeypatch.setattr(create_once, "_pause", lambda _: None)
    uri = f"s3://{store.bucket}/landing/claimed"
    store.other().put_object(Bucket=store.bucket, Key="landing/.claimed.claim/.of-one-that-died.tmp", Body=b"")
    with pytest.raises(StorageUnavailable, match="other writers are active"):
        storage.create(uri, b"x")
    assert not storage.exists(uri)
    assert storage.hidden_files(f"s3://{store.bucket}/landing") == [".of-one-that-died.tmp"]
    # now it is old
    monkeypatch.setattr(create_once, "_CLAIM_ENDS", dt.timedelta(seconds=-1))
    assert storage.create(uri, b"x")
    assert storage.hidden_files(f"s3://{store.bucket}/landing") == []


def test_a_check_leaves_the_claim_of_a_living_writer(
    store: OddStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(check_run, "SECOND_LOOK_SECONDS", 0.0)
    under_test = LakeUnderTest(tmp_path)
    root = f"s3://{store.bucket}/claims"
    settings = replace(under_test.settings, lake=f"{root}/lake", landing=f"{root}/landing")
    claim = f"{root}/landing/test/main_stream/2026/3/1/9/.a.claim/.of-a-slow-one.tmp"
    storage.write_atomic(claim, b"")
    assert check_lake(settings, under_test.ledger, repair=True).findings == ()
    assert storage.exists(claim)
    # now it is old
    monkeypatch.setattr(create_once, "_CLAIM_ENDS", dt.timedelta(seconds=-1))
    (found,) = check_lake(settings, under_test.ledger, repair=True).findings
    assert (found.kind, found.path, found.done) == (Kind.TEMPORARY, claim, "removed")
    assert not storage.exists(claim)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_landing_and_lake_in_such_a_store(store: OddStore, condition: Any, tmp_path: Path) -> None:
    store.dial.condition = condition
    under_test = LakeUnderTest(tmp_path)
    root = f"s3://{store.bucket}/{condition}"
    settings = replace(under_test.settings, lake=f"{root}/lake", landing=f"{root}/landing")
    bodies = {f"{HOUR}/{name}": event(name, {"amount": 1}) for name in "ab"}

    class Fetch:
        def __init__(self, file: RemoteFile) -> None:
            self.file = file

        def __enter__(self) -> Iterator[bytes]:
            return iter([bodies[self.file.key]])

        def __exit__(self, *_: object) -> None:
            """Nothing."""

    remote = [RemoteFile(key, None) for key in bodies]
    assert land_files(settings, under_test.ledger, remote, Fetch).summary.files == 2
    # another version of a file is one more raw file beside the first
    bodies[remote[0].key] = event("c", {"amount": 2})
    assert land_files(settings, under_test.ledger, remote[:1], Fetch).summary.files == 1
    assert index_landed(settings, under_test.ledger).events == 3
    assert build_hour(settings, under_test.ledger, PublishHour.parse("2026-03-01T09")).rows == 3
    raw = [uri for uri in storage.list_files(settings.landing) if "/_index/" not in uri]
    assert sorted(storage.read_bytes(uri) for uri in raw) == sorted(
        event(name, {"amount": 2 if name == "c" else 1}) for name in "abc"
    )


# --- no listing is kept ----------------------------------------------------------------------------------------


def test_what_another_process_does_is_seen_at_once(store: OddStore) -> None:
    root, other = f"s3://{store.bucket}/seen", store.other()
    storage.write_atomic(f"{root}/a", b"1")
    assert list(storage.list_files(root)) == [f"{root}/a"]
    other.put_object(Bucket=store.bucket, Key="seen/b", Body=b"22")
    assert storage.exists(f"{root}/b")
    assert storage.size(f"{root}/b") == 2
    assert list(storage.list_files(root)) == [f"{root}/a", f"{root}/b"]
    other.put_object(Bucket=store.bucket, Key="seen/b", Body=b"longer now")
    assert storage.version(f"{root}/b")[0] == 10
    assert storage.open_for_reading(f"{root}/b").read() == b"longer now"
    assert storage.read_range(f"{root}/b", 7, 10) == b"now"
    other.delete_object(Bucket=store.bucket, Key="seen/a")
    assert not storage.exists(f"{root}/a")
    assert list(storage.list_files(root)) == [f"{root}/b"]
    other.put_object(Bucket=store.bucket, Key="seen/c", Body=b"3")
    storage.remove(f"{root}/c")
    storage.remove(f"{root}/c")
    assert "Contents" not in other.list_objects_v2(Bucket=store.bucket, Prefix="seen/c")


def test_a_folder_is_no_file(store: OddStore) -> None:
    store.other().put_object(Bucket=store.bucket, Key="folder/", Body=b"")
    store.other().put_object(Bucket=store.bucket, Key="folder/file", Body=b"x")
    root = f"s3://{store.bucket}/folder"
    assert not storage.exists(root)
    with pytest.raises(FileNotFoundError):
        storage.size(root)
    assert list(storage.list_files(root)) == [f"{root}/file"]
    assert list(storage.list_files(f"{root}/file/none")) == []


# --- the connection is heeded ----------------------------------------------------------------------------------


def test_config_of_the_connection_reaches_the_client(store: OddStore, connect: Callable[..., None]) -> None:
    store.dial.checksums = False
    uri = f"s3://{store.bucket}/landing/checksums"
    with pytest.raises(StorageRefused, match="when_required"):
        storage.create(uri, b"x")
    connect(store, config_kwargs={"request_checksum_calculation": "when_required"})
    assert storage.create(uri, b"x")
    storage.write_atomic(uri, b"y")
    assert storage.read_bytes(uri) == b"y"


def test_addressing_of_the_connection_reaches_the_client(store: OddStore, connect: Callable[..., None]) -> None:
    """A name and no number: by itself the client would put the bucket before it."""
    named = OddStore(store.endpoint.replace("127.0.0.1", "localhost"), store.bucket, store.dial)
    connect(named, config_kwargs={"s3": {"addressing_style": "path"}})
    storage.write_atomic(f"s3://{store.bucket}/path", b"x")
    assert store.dial.log[-1][1:] == (f"/{store.bucket}/path", named.endpoint.removeprefix("http://"))
    with pytest.raises(ConfigError, match=r"connection storage: config_kwargs.*no_such_option"):
        connect(named, config_kwargs={"no_such_option": 1})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """Return a private CA's file, and a certificate and key that it signed for this machine."""
    folder = tmp_path_factory.mktemp("ca")
    now = dt.datetime.now(dt.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("our own CA", "store")]
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    paths = []
    for number, name in enumerate(("ca", "store")):
        built = (
            x509.CertificateBuilder()
            .subject_name(names[number]).issuer_name(names[0]).public_key(keys[number].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=number == 0, path_length=None), critical=True)
            .add_extension(addresses, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(keys[number].public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), critical=False)
            .sign(keys[0], hashes.SHA256())
        )  # fmt: skip
        path = folder / f"{name}.pem"
        path.write_bytes(built.public_bytes(serialization.Encoding.PEM))
        paths.append(str(path))
    key = folder / "key.pem"
    plain = serialization.NoEncryption()
    key.write_bytes(keys[1].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return paths[0], paths[1], str(key)


def test_a_private_ca(connect: Callable[..., None], certificate: tuple[str, str, str]) -> None:
    authority, *own = certificate
    with running_store((own[0], own[1])) as store:
        uri = f"s3://{store.bucket}/landing/tls"
        connect(store)
        with pytest.raises(StorageRefused, match=r'"verify": "/path/ca.pem" in the connection'):
            storage.create(uri, b"x")
        connect(store, verify=authority)
        assert storage.create(uri, b"x")
        connect(store, verify=False)
        assert storage.read_bytes(uri) == b"x"
        with pytest.raises(ConfigError, match=r"verify is /no/such\.pem, but there is no such file"):
            connect(store, verify="/no/such.pem")
        plain = OddStore(store.endpoint, store.bucket, store.dial)
    with running_store() as store:
        plain = OddStore(store.endpoint.replace("http://", "https://"), store.bucket, store.dial)
        connect(plain)
        with pytest.raises(StorageRefused, match="does not speak TLS"):
            storage.create(f"s3://{store.bucket}/x", b"x")


# --- faults are named ------------------------------------------------------------------------------------------

SPILL = f"secret={SECRET} AKIAIOSFODNN7EXAMPLE https://user:hunter2@proxy/"


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (Answer(403, "AccessDenied", "explicit deny in a bucket policy"), StorageRefused, "storage_conn_id"),
        (Answer(403, "InvalidAccessKeyId", "no such key"), StorageRefused, "check the credentials"),
        (Answer(403, "SignatureDoesNotMatch", "it does not match"), StorageRefused, "check the credentials"),
        (Answer(403, "RequestTimeTooSkewed", "the difference is too large"), StorageRefused, "NTP"),
        (Answer(400, "KMS.DisabledException", "arn:aws:kms:k is disabled"), StorageRefused, "enable it again"),
        (Answer(403, "QuotaExceeded", "bucket is full"), StorageRefused, "quota"),
        (
            Answer(301, "PermanentRedirect", "elsewhere", (("x-amz-bucket-region", "eu-west-1"),)),
            StorageRefused, "the bucket is in eu-west-1",
        ),
        (Answer(503, "SlowDown", "reduce your rate"), StorageUnavailable, "SlowDown: reduce your rate"),
        (Answer(400, "ExpiredToken", "the token has expired"), StorageUnavailable, "ExpiredToken"),
    ],
)  # fmt: skip
def test_faults_of_the_store(
    store: OddStore, connect: Callable[..., None], answer: Answer, error: type[Exception], says: str
) -> None:
    connect(store, config_kwargs={"retries": {"max_attempts": 0}})
    storage.create(f"s3://{store.bucket}/landing/known", b"x")
    store.dial.fault = replace(answer, message=f"{answer.message} {SPILL}")
    uri = f"s3://{store.bucket}/landing/file"
    works: list[Callable[[], Any]] = [
        lambda: storage.read_bytes(uri),
        lambda: storage.read_range(uri, 0, 1),
        lambda: storage.write_atomic(uri, b"x"),
        lambda: storage.remove(uri),
        lambda: list(storage.list_files(uri)),
    ]
    for work in works:
        with pytest.raises(error) as raised:
            work()
        text = str(raised.value)
        assert text.startswith(uri)
        assert answer.code in text
        assert answer.message.split()[0] in text
        assert says in text
        assert not any(word in text for word in (SECRET, "AKIA", "hunter2"))
        assert raised.value.permanent is (error is StorageRefused)  # type: ignore[attr-defined]
    # answers to HEAD have no text: if they are refusals, the object is asked for
    for work in (lambda: storage.exists(uri), lambda: storage.size(uri), lambda: storage.create(uri, b"x")):
        with pytest.raises((StorageRefused, StorageUnavailable), match=uri) as asked:
            work()
        assert answer.status != 403 or answer.code in str(asked.value)


def test_faults_of_one_object_and_of_the_bucket(store: OddStore) -> None:
    root = f"s3://{store.bucket}/landing"
    for name in ("cold", "closed", "open"):
        storage.write_atomic(f"{root}/{name}", b"x")
    store.dial.archived.add("landing/cold")
    store.dial.forbidden.add("landing/closed")
    with pytest.raises(StorageRefused, match=r"landing/cold cannot be read: InvalidObjectState.*restore it"):
        storage.read_bytes(f"{root}/cold")
    with pytest.raises(StorageRefused, match="landing/cold cannot be read: InvalidObjectState"):
        storage.open_for_reading(f"{root}/cold").read()
    with pytest.raises(StorageRefused, match="landing/closed cannot be read: AccessDenied: User"):
        storage.read_bytes(f"{root}/closed")
    assert storage.read_bytes(f"{root}/open") == b"x"
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(f"{root}/none")
    nowhere = "s3://no-such-bucket-anywhere/landing/file"
    works: list[Callable[[], Any]] = [
        lambda: storage.read_bytes(nowhere), lambda: storage.exists(nowhere), lambda: storage.size(nowhere),
        lambda: storage.write_atomic(nowhere, b"x"), lambda: storage.create(nowhere, b"x"),
        lambda: storage.remove(nowhere), lambda: list(storage.list_files(nowhere)),
    ]  # fmt: skip
    for work in works:
        with pytest.raises(StorageRefused, match=f"{nowhere} cannot be .*: NoSuchBucket: .*; check the bucket's name"):
            work()


def test_one_raw_file_that_cannot_be_read_stops_no_other(
    store: OddStore, connect: Callable[..., None], tmp_path: Path
) -> None:
    connect(store, config_kwargs={"retries": {"max_attempts": 0}})
    under_test = LakeUnderTest(tmp_path)
    root = f"s3://{store.bucket}/one"
    under_test.settings = replace(under_test.settings, lake=f"{root}/lake", landing=f"{root}/landing")
    under_test.land_raw({f"{HOUR}/{name}": event(name, {"amount": 1}) for name in "ab"})
    # an outage is of no single file: the files wait, and nothing is noted against them
    store.dial.fault = Answer(503, "SlowDown", "reduce your rate")
    with pytest.raises(StorageUnavailable, match="SlowDown"):
        under_test.index()
    store.dial.fault = None
    store.dial.archived.add(f"one/landing/test/{HOUR}/a")
    found = under_test.index()
    assert (found.files, found.events) == (1, 1)
    ((name, problem),) = found.failures
    assert name == f"{HOUR}/a"
    assert "InvalidObjectState" in problem
    store.dial.archived.clear()
    assert under_test.index().events == 1


def test_one_unit_whose_raw_file_cannot_be_read_stops_no_other(store: OddStore, tmp_path: Path) -> None:
    under_test = LakeUnderTest(tmp_path)
    root = f"s3://{store.bucket}/units"
    under_test.settings = replace(under_test.settings, lake=f"{root}/lake", landing=f"{root}/landing")
    other = "main_stream/2026/3/1/10"
    under_test.land({f"{HOUR}/a": event("a", {"amount": 1}), f"{other}/b": event("b", {"amount": 2})})
    store.dial.archived.add(f"units/landing/test/{HOUR}/a")
    units = under_test.files.unbuilt_units()
    assert units == ["2026-03-01T09", "2026-03-01T10"]
    built, failures = Workers(under_test.settings, under_test.ledger, 1).build(units, ())
    assert [summary.rows for summary in built] == [1]
    assert list(failures) == ["2026-03-01T09"]
    with pytest.raises(StorageRefused, match=r"InvalidObjectState.*restore it"):
        refuse_unbuilt(failures)
    store.dial.archived.clear()
    built, failures = Workers(under_test.settings, under_test.ledger, 1).build(units, ())
    assert [summary.rows for summary in built] == [1, 1]
    assert failures == {}


def test_a_store_that_is_not_there_passes(store: OddStore, connect: Callable[..., None]) -> None:
    nobody = OddStore("http://127.0.0.1:1", store.bucket, store.dial)
    connect(nobody, config_kwargs={"retries": {"max_attempts": 0}})
    with pytest.raises(StorageUnavailable, match=r"127\.0\.0\.1:1"):
        storage.read_bytes(f"s3://{store.bucket}/x")


@pytest.mark.parametrize("condition", ["known", "ignored"])
def test_the_doctor_says_how_raw_files_are_kept(store: OddStore, condition: Any) -> None:
    store.dial.condition = condition
    found = {check.name: check for check in examine(delivery(store))}
    assert found["landing writable"].state == "pass"
    assert found["landing never overwritten"].seen.startswith("refused" if condition == "known" else "by claims")
