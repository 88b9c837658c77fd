"""Test the SFTP hook with OpenSSH, and with the sandbox's server if a fault is needed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import ORG, LakeUnderTest, event
from tests.waiting import PATIENCE, until

from pismo.hooks.sftp import PismoSFTPHook
from pismo_lake.errors import (
    AccessDenied,
    ConfigError,
    FileMissing,
    HostKeyDenied,
    KeysDenied,
    SizeMismatch,
    SourceUnavailable,
)
from pismo_lake.hours import PublishHour
from pismo_lake.landing.land import land_files
from pismo_lake.landing.remote_file import RemoteFile, new_files
from pismo_lake.settings.channels import Channel, Environment, SftpSource
from pismo_lake.settings.deliveries import Delivery
from pismo_sandbox.sftp.openssh import find_sshd, running_openssh
from pismo_sandbox.sftp.server import SftpPolicy, rsa_key_pair, running_sftp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pismo_sandbox.sftp.server import RunningSftp

pytestmark = pytest.mark.integration

HOUR = PublishHour.parse("2026-03-01T09")
KEY = "main_stream/2026/3/1/9/a"
Connect = "Callable[..., PismoSFTPHook]"


@pytest.fixture(scope="module")
def pairs() -> list[tuple[str, str]]:
    return [rsa_key_pair() for _ in range(8)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    return folder


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., PismoSFTPHook]]:
    hooks: list[PismoSFTPHook] = []

    def make(
        host: str | None, port: int, host_key: str, private: list[str] | str, *, login: str = "pismo", **source: Any
    ) -> PismoSFTPHook:
        connection = {
            "conn_type": "sftp", "host": host, "port": port, "login": login,
            "extra": {"private_key": private, "host_key": host_key},
        }  # fmt: skip
        monkeypatch.setenv("AIRFLOW_CONN_PISMO", json.dumps(connection))
        settings = {"stall_seconds": PATIENCE, "connect_seconds": PATIENCE, "keepalive_seconds": 600.0} | source
        hooks.append(PismoSFTPHook(delivery(**settings)))
        return hooks[-1]

    yield make
    for hook in hooks:
        hook.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sftp-")]


def delivery(environment: Environment = Environment.SANDBOX, **source: Any) -> Delivery:
    return Delivery(
        name="sftp_test", organisation=ORG, environment=environment, channel=Channel.SFTP, conn_id="pismo",
        landing="no-landing", lake="no-lake", ledger_url="sqlite://", source=SftpSource(**source),
    )  # fmt: skip


def put(root: Path, key: str = KEY, body: bytes = b"{}") -> bytes:
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return body


def fetched(hook: PismoSFTPHook, key: str = KEY, size: int | None = None) -> bytes:
    with hook.fetch(RemoteFile(key, size)) as chunks:
        return b"".join(chunks)


@pytest.fixture
def faulty(
    root: Path, pairs: list[tuple[str, str]], connect: Callable[..., PismoSFTPHook]
) -> Iterator[tuple[RunningSftp, SftpPolicy, Callable[..., PismoSFTPHook]]]:
    """Yield the sandbox's server, its policy, and a hook for it."""
    policy = SftpPolicy([pairs[0][1]])
    with running_sftp(root, policy) as server:

        def make(private: list[str] | str | None = None, **source: Any) -> PismoSFTPHook:
            return connect(server.host, server.port, server.host_key, private or pairs[0][0], **source)

        yield server, policy, make


Faulty = "tuple[RunningSftp, SftpPolicy, Callable[..., PismoSFTPHook]]"


# --- a real OpenSSH --------------------------------------------------------------------------------------------


@pytest.mark.skipif(find_sshd() is None, reason="no sshd on this machine: scripts/openssh installs it as root")
def test_openssh_lists_and_reads_and_survives_its_restart(
    root: Path, pairs: list[tuple[str, str]], connect: Callable[..., PismoSFTPHook]
) -> None:
    big = put(root, body=os.urandom(12_000_000))
    put(root, "main_stream/2026/03/01/09/padded", b"p")
    put(root, "main_stream/2026/3/1/10/later", b"l")
    (root / "main_stream/2026/3/1/9/folder").mkdir()
    private, public = pairs[7]
    with running_openssh(root, [public]) as server:
        keys = [pair[0] for pair in pairs]
        hook = connect(server.host, server.port, server.host_key, keys, login=server.username)
        found = {file.key: file.size for file in hook.list_files([HOUR])}
        assert found == {KEY: 12_000_000, "main_stream/2026/03/01/09/padded": 1}
        assert hashlib.sha256(fetched(hook, size=len(big))).digest() == hashlib.sha256(big).digest()
        server.restart()
        assert fetched(hook, "main_stream/2026/3/1/10/later") == b"l"
        alone = connect(server.host, server.port, server.host_key, private, login=server.username, root=str(root))
        assert fetched(alone) == big


# --- identity --------------------------------------------------------------------------------------------------


def test_key_three_of_eight(faulty: Any, pairs: list[tuple[str, str]], root: Path) -> None:
    server, policy, make = faulty
    put(root)
    policy.authorized[:] = [pairs[2][1]]
    hook = make([private for private, _ in pairs])
    assert fetched(hook) == b"{}"
    # the key is removed during the run: the next connection continues with the keys after it
    policy.authorized[:] = [pairs[6][1]]
    server.drop_connections()
    assert fetched(hook) == b"{}"


def test_all_keys_in_one_text(faulty: Any, pairs: list[tuple[str, str]], root: Path) -> None:
    _, policy, make = faulty
    put(root)
    policy.authorized[:] = [pairs[1][1]]
    assert fetched(make("\n".join(private for private, _ in pairs))) == b"{}"


def test_a_revoked_key_is_named_with_the_environment(faulty: Any, root: Path) -> None:
    _, policy, make = faulty
    put(root)
    policy.authorized.clear()
    with pytest.raises(KeysDenied, match="sandbox and production differ") as raised:
        fetched(make())
    assert "PRIVATE" not in str(raised.value)
    assert raised.value.permanent


def test_a_changed_host_key_is_its_own_error(faulty: Any, root: Path) -> None:
    server, _, make = faulty
    put(root)
    hook = make()
    assert fetched(hook) == b"{}"
    server.change_host_key()
    server.drop_connections()
    with pytest.raises(HostKeyDenied, match="changed"):
        fetched(hook)


def test_the_other_environments_endpoint_is_refused() -> None:
    from pismo.hooks.sftp import endpoint

    sandbox, production = delivery(), delivery(Environment.PRODUCTION)
    assert endpoint(sandbox, None) == "sftp-main.data.pismolabs.io"
    assert endpoint(production, None) == "sftp-main.data.pismo.io"
    assert endpoint(sandbox, "proxy.example") == "proxy.example"
    with pytest.raises(ConfigError, match="production endpoint"):
        endpoint(sandbox, "SFTP-main.data.pismo.io.")
    with pytest.raises(ConfigError, match="sandbox endpoint"):
        endpoint(production, "sftp-main.data.pismolabs.io")


# --- faults ----------------------------------------------------------------------------------------------------


def test_a_download_goes_on_where_it_was_cut(faulty: Any, root: Path) -> None:
    _, policy, make = faulty
    body = put(root, body=random.Random(1).randbytes(10_000_000))
    policy.cut_after, policy.cuts_left = 3_000_000, 3
    assert fetched(make(), size=len(body)) == body
    assert policy.cuts_left == 0
    opened = [path for operation, path in policy.log if operation == "open"]
    assert len(opened) == 4


def test_a_file_that_changes_meanwhile_is_read_from_its_start(faulty: Any, root: Path) -> None:
    _, policy, make = faulty
    put(root, body=b"a" * 5_000_000)
    policy.cut_after, policy.cuts_left = 2_000_000, 1
    hook = make()
    body = b"b" * 5_000_001

    class Log(list[tuple[str, str]]):
        """Puts another file in the place of the first before it is opened again."""

        def append(self, entry: tuple[str, str]) -> None:
            if entry[0] == "open" and entry in self:
                put(root, body=body)
            super().append(entry)

    policy.log = Log()
    with pytest.raises((SizeMismatch, SourceUnavailable)):
        # announced with its old size: nothing that was put together from both may pass
        assert fetched(hook, size=5_000_000) == b"never"
    assert fetched(hook, size=len(body)) == body


def test_a_link_that_always_breaks_is_a_passing_error(faulty: Any, root: Path) -> None:
    _, policy, make = faulty
    put(root, body=b"x" * 2_000_000)
    policy.cut_after = 0
    with pytest.raises(SourceUnavailable):
        fetched(make(attempts=2))


@pytest.mark.parametrize("fault", [{"stall_after": 100_000}, {"silent": True}, {"drip": 60.0}])
def test_stalls_end_in_time(faulty: Any, root: Path, fault: dict[str, Any]) -> None:
    _, policy, make = faulty
    put(root, body=b"x" * 2_000_000)
    hook = make()
    list(hook.list_files([HOUR]))
    hook.source = replace(hook.source, stall_seconds=0.5, attempts=2, connect_seconds=1.0)
    for name, value in fault.items():
        setattr(policy, name, value)
    with pytest.raises(SourceUnavailable):
        fetched(hook)


def test_a_half_open_connection_is_noticed_and_replaced(faulty: Any, root: Path) -> None:
    """The listing of the next look must not hang on a connection that died unseen."""
    _, policy, make = faulty
    put(root)
    hook = make()
    assert len(list(hook.list_files([HOUR]))) == 1
    policy.silent, first = True, policy.made

    def speak() -> None:
        until(lambda: policy.made > first, pause=0.01)
        policy.silent = False

    hook.source = replace(hook.source, stall_seconds=1.0, attempts=100)
    speaker = threading.Thread(target=speak)
    speaker.start()
    assert len(list(hook.list_files([HOUR]))) == 1
    speaker.join()


def test_denied_and_vanished_files(faulty: Any, root: Path) -> None:
    _, policy, make = faulty
    put(root)
    hook = make()
    policy.denied.add(KEY)
    with pytest.raises(AccessDenied, match=KEY):
        fetched(hook)
    policy.denied.clear()
    policy.vanished.add(KEY)
    with pytest.raises(FileMissing, match=KEY):
        fetched(hook)
    assert list(hook.list_files([HOUR.plus(5)])) == []


def test_a_refusing_server_is_a_passing_error(faulty: Any, root: Path) -> None:
    _, policy, make = faulty
    policy.refuse_connections = True
    with pytest.raises(SourceUnavailable):
        list(make(attempts=2).list_files([HOUR]))


def test_a_slow_listing_of_five_thousand_files(faulty: Any, root: Path) -> None:
    _, policy, make = faulty
    for number in range(5000):
        put(root, f"main_stream/2026/3/1/9/f{number:05d}", b"x")
    policy.listing_delay = 0.05
    hook = make()
    # the listing as a whole takes longer than one answer may
    hook.source = replace(hook.source, stall_seconds=2.0)
    found = list(hook.list_files([HOUR]))
    assert len({file.key for file in found}) == 5000
    assert {file.size for file in found} == {1}


# --- landing ---------------------------------------------------------------------------------------------------


def test_landing_reuses_few_connections_and_only_reads(faulty: Any, root: Path, tmp_path: Path) -> None:
    _, policy, make = faulty
    for number in range(60):
        put(root, f"main_stream/2026/3/1/9/f{number:02d}", event(f"e-{number}"))
    hook = make(connections=2)
    lake = LakeUnderTest(tmp_path)
    landed = land_files(lake.settings, lake.ledger, list(hook.list_files([HOUR])), hook.fetch, parallel=8)
    lake.build()
    assert landed.summary.files == 60
    assert {row["event_id"] for row in lake.rows()} == {f"e-{number}" for number in range(60)}
    assert policy.most_connections <= 2
    assert {operation for operation, _ in policy.log} <= {"list", "open", "stat", "lstat"}


def test_one_bad_file_does_not_keep_the_others(faulty: Any, root: Path, tmp_path: Path) -> None:
    _, policy, make = faulty
    for name in "abc":
        put(root, f"main_stream/2026/3/1/9/{name}", event(name))
    policy.denied.add("main_stream/2026/3/1/9/b")
    hook, lake = make(), LakeUnderTest(tmp_path)
    files = list(hook.list_files([HOUR]))
    landing = land_files(lake.settings, lake.ledger, files, hook.fetch)
    assert [key[-1] for key in landing.failures] == ["b"]
    policy.denied.clear()
    fresh = new_files(files, lake.files.find_known([file.key for file in files]))
    land_files(lake.settings, lake.ledger, fresh, hook.fetch)
    lake.build()
    assert sorted(row["event_id"] for row in lake.rows()) == ["a", "b", "c"]


def test_modification_times_count_where_they_are_said_to(faulty: Any, root: Path) -> None:
    _, _, make = faulty
    put(root)
    os.utime(root / KEY, (0, 1_700_000_000))
    (plain,) = make().list_files([HOUR])
    (timed,) = make(mtime_is_version=True).list_files([HOUR])
    assert (plain.etag, timed.etag) == (None, "mtime-1700000000")


def test_a_key_is_there_under_its_own_spelling_alone(faulty: Any, root: Path) -> None:
    _, _, make = faulty
    folder = KEY.rpartition("/")[0]
    for name in ("a=b c", "50%25"):
        put(root, f"{folder}/{name}")
    hook = make()
    names = ["a=b c", "a%3Db%20c", "50%25", "50%"]
    assert [hook.has(f"{folder}/{name}") for name in names] == [True, False, True, False]
