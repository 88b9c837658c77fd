"""Test the GCS hook with a storage emulator, its errors with a stub, and notices of Pub/Sub."""

from __future__ import annotations

import base64
import gc
import json
import logging
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import requests
from google.api_core.exceptions import BadRequest, Forbidden, NotFound, TooManyRequests
from google.auth.exceptions import RefreshError
from google_crc32c import Checksum
from tests.lakes import LakeUnderTest, event
from tests.serving import serving
from tests.waiting import PATIENCE

from pismo.connect.queue import open_queue
from pismo.hooks import gcs
from pismo.hooks.gcs import PismoGCSHook
from pismo.runs.drain import Drained, drain
from pismo_lake.errors import (
    AccessDenied,
    ConfigError,
    FileMissing,
    KmsDenied,
    ListingDenied,
    PismoError,
    SourceRefused,
    SourceUnavailable,
)
from pismo_lake.hours import PublishHour
from pismo_lake.landing.land import land_files
from pismo_lake.landing.remote_file import RemoteFile
from pismo_lake.settings.channels import Channel, Environment, GcsSource, NoticeChannel, Notices
from pismo_lake.settings.deliveries import Delivery
from pismo_sandbox.feed.events import ORGANISATION
from pismo_sandbox.gcp.cloud import BUCKET, DEAD_LETTERS, SUBSCRIPTION, TOPIC, GcsSink, GoogleCloud, running_gcp
from pismo_sandbox.s3.notices import notice_event
from pismo_sandbox.s3.server import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Google's client leaves the answer to a download that was refused open until it is collected
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]

HOUR = PublishHour.parse("2026-03-01T09")
KEY = "main_stream/2026/3/1/9/a"
S3_BUCKET = Policy().bucket


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleCloud]:
    extra = {"project": "our-project", "is_anonymous": "true"}
    monkeypatch.setenv("AIRFLOW_CONN_PISMO", json.dumps({"conn_type": "google_cloud_platform", "extra": extra}))
    with running_gcp(attempts=5) as running:
        yield running


@pytest.fixture
def put(cloud: GoogleCloud) -> Iterator[Callable[[str, bytes], None]]:
    sink = GcsSink(cloud.storage)
    yield sink.put
    sink.close()


def delivery(storage: str, pubsub: str = "http://127.0.0.1:1", **changes: Any) -> Delivery:
    queue = changes.pop("queue", SUBSCRIPTION)
    return Delivery(
        name="test", organisation=ORGANISATION, environment=Environment.SANDBOX, channel=Channel.GCS, conn_id="pismo",
        landing="no-landing", lake="no-lake", ledger_url="sqlite://",
        source=GcsSource(BUCKET, **({"prefix": "copied/main_stream", "endpoint_url": storage} | changes)),
        notices=Notices(NoticeChannel.PUBSUB, queue, "pismo", endpoint_url=pubsub, lease_seconds=300),
    )  # fmt: skip


@pytest.fixture
def hook_for() -> Iterator[Callable[[str], PismoGCSHook]]:
    made: list[PismoGCSHook] = []

    def make(storage: str) -> PismoGCSHook:
        made.append(PismoGCSHook(delivery(storage)))
        return made[-1]

    yield make
    for hook in made:
        hook.close()
    made.clear()
    gc.collect()


def fetched(hook: PismoGCSHook, key: str = KEY) -> bytes:
    with hook.fetch(RemoteFile(key, None)) as chunks:
        return b"".join(chunks)


def test_listing_and_reading(
    cloud: GoogleCloud, put: Callable[[str, bytes], None], hook_for: Callable[[str], PismoGCSHook]
) -> None:
    body = bytes(range(256)) * 48_000
    put(KEY, body)
    put("main_stream/2026/03/01/09/padded", b"p")
    put("main_stream/2026/3/1/19/another-hour", b"x")
    put("reports/x.parquet", b"PAR1")
    hook = hook_for(cloud.storage)
    found = {file.key: file for file in hook.list_files([HOUR])}
    assert {key: file.size for key, file in found.items()} == {KEY: len(body), "main_stream/2026/03/01/09/padded": 1}
    assert fetched(hook) == body
    again = {file.key: file.etag for file in hook.list_files([HOUR])}
    put(KEY, body)
    assert {file.key: file.etag for file in hook.list_files([HOUR])} == again
    put(KEY, b"changed")
    assert {file.key: file.etag for file in hook.list_files([HOUR])} != again


def test_the_key_is_the_buckets_whatever_stands_above_it(
    cloud: GoogleCloud, hook_for: Callable[[str], PismoGCSHook]
) -> None:
    hook = hook_for(cloud.storage)
    assert hook.event_key(f"copied/{KEY}") == hook.event_key(KEY) == KEY
    assert hook.event_key(f"main_stream/{KEY}") == KEY


@pytest.mark.parametrize("name", ["main_stream/2026/03/01/09/a", f"elsewhere/{KEY}"])
def test_an_object_that_stands_elsewhere_is_found(
    cloud: GoogleCloud, put: Callable[[str, bytes], None], hook_for: Callable[[str], PismoGCSHook], name: str
) -> None:
    put(name, b"found")
    assert fetched(hook_for(cloud.storage)) == b"found"


def test_a_key_is_there_under_its_own_spelling_alone(
    cloud: GoogleCloud, put: Callable[[str, bytes], None], hook_for: Callable[[str], PismoGCSHook]
) -> None:
    for name in ("a=b c", "50%25", "marker/"):
        put(f"main_stream/2026/3/1/9/{name}", b"{}")
    put("main_stream/2026/03/01/09/elsewhere", b"{}")
    hook = hook_for(cloud.storage)
    names = ["a=b c", "a%3Db%20c", "50%25", "50%", "elsewhere"]
    assert [hook.has(f"main_stream/2026/3/1/9/{name}") for name in names] == [True, False, True, False, True]
    assert [file.key.rsplit("/", 1)[1] for file in hook.list_files([HOUR])] == ["50%25", "a=b c", "elsewhere"]


class Cutting(BaseHTTPRequestHandler):
    """Answers a download with half of the announced bytes, a given number of times."""

    cuts = 0
    body = bytes(range(256)) * 20_000

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.send_header("X-Goog-Hash", f"crc32c={base64.b64encode(Checksum(self.body).digest()).decode()}")
        self.end_headers()
        cut = type(self).cuts > 0
        type(self).cuts -= 1
        self.wfile.write(self.body[: len(self.body) // 2] if cut else self.body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.parametrize("cuts", [2, 10_000])
def test_a_download_cut_in_the_middle_is_tried_again_and_never_taken_for_whole(
    monkeypatch: pytest.MonkeyPatch, hook_for: Callable[[str], PismoGCSHook], cuts: int
) -> None:
    extra = {"project": "our-project", "is_anonymous": "true"}
    monkeypatch.setenv("AIRFLOW_CONN_PISMO", json.dumps({"conn_type": "google_cloud_platform", "extra": extra}))
    # give up soon on a file that is never whole
    seconds = PATIENCE if cuts < 10 else 3.0
    monkeypatch.setitem(gcs._CALL, "retry", gcs.DEFAULT_RETRY.with_timeout(seconds).with_delay(0.05, 0.1))
    monkeypatch.setattr(Cutting, "cuts", cuts)
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Cutting)) as server:
        hook = hook_for(f"http://127.0.0.1:{server.server_port}")
        if cuts < 10:
            assert fetched(hook) == Cutting.body
        else:
            with pytest.raises(SourceUnavailable):
                fetched(hook)


def test_what_is_not_there_may_yet_come(
    cloud: GoogleCloud, put: Callable[[str, bytes], None], hook_for: Callable[[str], PismoGCSHook]
) -> None:
    put("main_stream/2026/3/1/9/ab", b"another")
    hook = hook_for(cloud.storage)
    with pytest.raises(FileMissing, match=KEY) as raised:
        fetched(hook)
    assert not raised.value.permanent
    put(KEY, b"now")
    assert fetched(hook) == b"now"


class Answer(BaseHTTPRequestHandler):
    status = 403

    def do_GET(self) -> None:
        body = json.dumps({"error": {"code": self.status, "message": "secret-detail"}}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.mark.parametrize(
    ("status", "reading", "listing"),
    [
        (403, AccessDenied, ListingDenied),
        (401, AccessDenied, AccessDenied),
        (503, SourceUnavailable, SourceUnavailable),
    ],
)
def test_refusals_have_names(
    status: int,
    reading: type[PismoError],
    listing: type[PismoError],
    hook_for: Callable[[str], PismoGCSHook],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from google.cloud.storage.retry import DEFAULT_RETRY

    monkeypatch.setattr(
        "pismo.hooks.gcs._CALL", {"retry": DEFAULT_RETRY.with_timeout(0.5), "timeout": (PATIENCE, PATIENCE)}
    )
    extra = {"project": "our-project", "is_anonymous": "true"}
    monkeypatch.setenv("AIRFLOW_CONN_PISMO", json.dumps({"conn_type": "google_cloud_platform", "extra": extra}))
    monkeypatch.setattr(Answer, "status", status)
    with serving(HTTPServer(("127.0.0.1", 0), Answer)) as server:
        hook = hook_for(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(reading) as read:
            fetched(hook)
        with pytest.raises(listing) as listed:
            list(hook.list_files([HOUR]))
    assert "secret-detail" not in f"{read.value}{listed.value}"


@pytest.mark.parametrize(
    ("answer", "error", "listing", "says"),
    [
        (Forbidden("GET https://x/y?z: me@p does not have access"), AccessDenied, False, "me@p does not have access"),
        (Forbidden("Permission denied on Cloud KMS key projects/p/k"), KmsDenied, False, "enable the key"),
        (BadRequest("Cloud KMS key projects/p/k is disabled"), KmsDenied, False, "is disabled"),
        (BadRequest("Bucket is a requester pays bucket"), SourceRefused, False, "requester"),
        (NotFound("The specified bucket does not exist."), SourceRefused, True, "check its name"),
        (NotFound("The specified bucket does not exist."), SourceRefused, False, "check its name"),
        (NotFound("No such object: b/k"), FileMissing, False, "No such object: b/k"),
        (RefreshError("invalid_grant: Invalid JWT: Token must be a short-lived token"), SourceRefused, False, "NTP"),
        (RefreshError("invalid_grant: account not found"), AccessDenied, False, "account not found"),
        (RefreshError("try later", retryable=True), SourceUnavailable, False, "try later"),
        (TooManyRequests("rateLimitExceeded"), SourceUnavailable, False, "rateLimitExceeded"),
        (requests.ConnectionError("Name or service not known"), SourceUnavailable, False, "Name or service"),
    ],
)  # fmt: skip
def test_googles_own_reason_is_in_the_error(
    hook_for: Callable[[str], PismoGCSHook],
    monkeypatch: pytest.MonkeyPatch,
    answer: Exception,
    error: type[PismoError],
    listing: bool,
    says: str,
) -> None:
    extra = {"project": "our-project", "is_anonymous": "true"}
    monkeypatch.setenv("AIRFLOW_CONN_PISMO", json.dumps({"conn_type": "google_cloud_platform", "extra": extra}))
    hook = hook_for("http://127.0.0.1:1")
    found = hook.convert_error(answer, "main_stream/x", listing=listing)
    assert type(found) is error
    assert type(answer).__name__ in str(found)
    assert says in str(found)
    assert hook.source.bucket in str(found)
    assert "https://x/y" not in str(found)


# --- notices ---------------------------------------------------------------------------------------------------


def send(cloud: GoogleCloud, *bodies: dict[str, Any] | bytes) -> None:
    messages = [(body if isinstance(body, bytes) else json.dumps(body).encode(), {}, "") for body in bodies]
    cloud.broker.publish(TOPIC, messages)


def notice(key: str, size: int) -> dict[str, Any]:
    return notice_event(S3_BUCKET, ORGANISATION, key, size)


def drained(cloud: GoogleCloud, lake: LakeUnderTest) -> Drained:
    feed = delivery(cloud.storage, cloud.pubsub)
    assert feed.notices is not None
    source, queue = PismoGCSHook(feed), open_queue(feed)

    def land(files: Any) -> Any:
        return land_files(lake.settings, lake.ledger, files, source.fetch)

    try:
        return drain(feed, feed.notices, queue, source, lake.ledger, land, logging.getLogger("test"))
    finally:
        queue.close()
        source.close()


def test_files_are_landed_and_their_notices_acknowledged(
    cloud: GoogleCloud, put: Callable[[str, bytes], None], tmp_path: Path
) -> None:
    lake, body = LakeUnderTest(tmp_path), {}
    for number in range(40):
        body[number] = event(f"e-{number}")
        put(f"main_stream/2026/3/1/9/f{number}", body[number])
    every = [notice(f"main_stream/2026/3/1/9/f{number}", len(raw)) for number, raw in body.items()]
    send(cloud, *every, *every[:10], notice("reports/x.parquet", 4))
    found = drained(cloud, lake)
    assert (found.messages, found.announced, found.ignored, found.failures) == (51, 40, 1, {})
    assert cloud.broker.get_subscription(SUBSCRIPTION).unacked == 0
    lake.build()
    assert len(lake.rows()) == 40


def test_a_notice_before_its_copy_and_one_that_is_bad(
    cloud: GoogleCloud, put: Callable[[str, bytes], None], tmp_path: Path
) -> None:
    lake = LakeUnderTest(tmp_path)
    send(cloud, notice(KEY, len(event("late"))), b"garbage")
    first = drained(cloud, lake)
    assert (first.not_there, first.bad, first.failures) == (1, 1, {})
    put(KEY, event("late"))
    for _ in range(5):
        cloud.broker.expire_leases(SUBSCRIPTION)
        drained(cloud, lake)
    lake.build()
    assert [row["event_id"] for row in lake.rows()] == ["late"]
    assert cloud.broker.get_subscription(SUBSCRIPTION).unacked == 0
    (dead,) = cloud.broker.pull(DEAD_LETTERS, 5)
    assert dead.message.data == b"garbage"


def test_a_missing_subscription_is_named(cloud: GoogleCloud) -> None:
    feed = delivery(cloud.storage, cloud.pubsub, queue="projects/our-project/subscriptions/none")
    queue = open_queue(feed)
    with pytest.raises(ConfigError, match="no such subscription"):
        queue.receive(1)
    queue.close()
