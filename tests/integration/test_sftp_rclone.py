"""Test the SFTP hook with rclone over the sandbox's S3: a layer over a bucket, like Pismo's."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import LakeUnderTest, event
from tests.sftp_feed import FOLDER, HOUR, KEY, SftpFeed, fetched

from pismo_lake.errors import FileMissing, KeysDenied, SourceUnavailable
from pismo_lake.landing.land import land_files
from pismo_sandbox.s3.server import Sandbox, running_sandbox
from pismo_sandbox.sftp.rclone import RcloneServer, running_rclone
from pismo_sandbox.sftp.server import SftpPolicy, rsa_key_pair

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def pair() -> tuple[str, str]:
    return rsa_key_pair()


@pytest.fixture(scope="module")
def rclone(sandbox: Sandbox, pair: tuple[str, str]) -> Iterator[RcloneServer]:
    """Yield rclone's server; install rclone if it is missing."""
    if shutil.which("rclone") is None:
        done = subprocess.run([REPOSITORY / "scripts/rclone"], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no rclone: {done.stderr.strip()}")
    with running_rclone(sandbox, [pair[1]]) as server:
        yield server


class Bucket:
    """The bucket behind rclone, and hooks for its SFTP server."""

    def __init__(self, sandbox: Sandbox, feed: SftpFeed) -> None:
        self.sandbox, self.hook, self.connection = sandbox, feed.hook, feed.connection

    def put(self, key: str = KEY, body: bytes = b"{}") -> bytes:
        """Publish an object."""
        self.sandbox.admin("s3").put_object(Bucket=self.sandbox.policy.bucket, Key=key, Body=body)
        return body


@pytest.fixture
def bucket(
    sandbox: Sandbox, rclone: RcloneServer, pair: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bucket]:
    s3, name = sandbox.admin("s3"), sandbox.policy.bucket
    for item in s3.list_objects_v2(Bucket=name).get("Contents", ()):
        s3.delete_object(Bucket=name, Key=item["Key"])
    sandbox.policy.vanished.clear()
    sandbox.policy.log.clear()
    extra = {"private_key": pair[0], "host_key": rclone.host_key}
    connection: dict[str, Any] = {
        "conn_type": "sftp", "host": rclone.host, "port": rclone.port, "login": "pismo", "extra": extra,
    }  # fmt: skip
    feed = SftpFeed(tmp_path, SftpPolicy([pair[1]]), connection, monkeypatch)
    yield Bucket(sandbox, feed)
    feed.close()


def test_files_of_a_bucket_are_listed_landed_and_built(bucket: Bucket, tmp_path: Path) -> None:
    keys = [f"{FOLDER}/f{number}" for number in range(20)] + ["main_stream/2026/03/01/09/padded", f"{FOLDER}/é ☃"]
    for key in keys:
        bucket.put(key, event(key))
    # markers that the console of S3 makes, and a key in a sub-folder
    for marker in ("main_stream/", f"{FOLDER}/", f"{FOLDER}/sub/"):
        bucket.put(marker, b"")
    hook, lake = bucket.hook(), LakeUnderTest(tmp_path)
    files = list(hook.list_files([HOUR, HOUR.plus(1), HOUR.plus(24 * 40)]))
    assert sorted(file.key for file in files) == sorted(keys)
    landing = land_files(lake.settings, lake.ledger, files, hook.fetch)
    assert landing.summary.files == len(keys)
    lake.build()
    assert sorted(row["event_id"] for row in lake.rows()) == sorted(keys)


@pytest.mark.parametrize("size", [0, 1, 16_384, 32_768, 32_769, 10_000_000])
@pytest.mark.parametrize("believed", [True, False])
def test_every_byte_of_an_object(bucket: Bucket, size: int, believed: bool) -> None:
    body = bucket.put(body=random.Random(size).randbytes(size))
    assert fetched(bucket.hook(size_is_right=believed), size=size) == body


def test_one_read_at_a_time_asks_the_bucket_once(bucket: Bucket) -> None:
    """For reads out of order, rclone sends own requests to the bucket, so `reads` bounds these."""
    body = bucket.put(body=random.Random(3).randbytes(3_000_000))
    assert fetched(bucket.hook(reads=1), size=len(body)) == body
    asked = [path for method, path, _ in bucket.sandbox.policy.log if method == "GET" and path.endswith(KEY)]
    assert len(asked) == 1


def test_a_bucket_without_the_stream_has_no_files(bucket: Bucket) -> None:
    assert list(bucket.hook().list_files([HOUR])) == []


def test_a_missing_object_is_named(bucket: Bucket) -> None:
    bucket.put()
    with pytest.raises(FileMissing, match=f"{FOLDER}/b"):
        fetched(bucket.hook(), f"{FOLDER}/b")


def test_an_object_that_cannot_be_read_stops_no_other(bucket: Bucket, tmp_path: Path) -> None:
    for name in "abc":
        bucket.put(f"{FOLDER}/{name}", event(name))
    hook, lake = bucket.hook(attempts=1), LakeUnderTest(tmp_path)
    files = list(hook.list_files([HOUR]))
    bucket.sandbox.policy.vanished.add(f"{FOLDER}/b")
    failures = land_files(lake.settings, lake.ledger, files, hook.fetch).failures
    assert list(failures) == [f"{FOLDER}/b"]
    assert isinstance(failures[f"{FOLDER}/b"], FileMissing | SourceUnavailable)
    lake.build()
    assert sorted(row["event_id"] for row in lake.rows()) == ["a", "c"]


def test_a_wrong_key_is_refused(bucket: Bucket) -> None:
    bucket.connection["extra"] = bucket.connection["extra"] | {"private_key": rsa_key_pair()[0]}
    with pytest.raises(KeysDenied):
        fetched(bucket.hook())
