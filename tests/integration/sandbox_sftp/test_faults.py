"""The faults of the sandbox's in-process SFTP server, met by a real client."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import asyncssh
import pytest
from tests.sftp_client import (
    BIG,
    FOLDER,
    LOST,
    SIZE,
    SMALL,
    client,
    no_leftovers,
    options,
    read,
)  # fmt: skip
from tests.waiting import PATIENCE

from pismo_sandbox.sftp.server import RunningSftp, SftpPolicy, rsa_key_pair, running_sftp

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


async def test_cut_after_some_bytes(faulty: RunningSftp, policy: SftpPolicy, root: Path, keys: tuple[str, str]) -> None:
    policy.cut_after, policy.cuts_left = 300_000, 2
    for _ in range(2):
        got = bytearray()
        async with client(faulty, keys[0]) as sftp:
            with pytest.raises(LOST):
                await read(sftp, BIG, into=got)
        assert got == (root / BIG).read_bytes()[:300_000]
    assert policy.cuts_left == 0
    async with client(faulty, keys[0]) as sftp:
        assert await read(sftp, BIG) == (root / BIG).read_bytes()


async def test_cut_always_and_only_files_that_are_long_enough(
    faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]
) -> None:
    policy.cut_after = 1000
    for _ in range(3):
        async with client(faulty, keys[0]) as sftp:
            assert await read(sftp, SMALL) == b"small"
            with pytest.raises(LOST):
                await read(sftp, BIG)


async def test_stall(faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    policy.stall_after = 100_000
    async with client(faulty, keys[0]) as sftp:
        got = bytearray()
        reading = asyncio.create_task(read(sftp, BIG, into=got))
        async with asyncio.timeout(PATIENCE):
            while len(got) < 100_000:
                await asyncio.sleep(0.01)
        # not wait_for: cancelled, it would close the file, and that is not answered either
        await asyncio.wait({reading}, timeout=0.5)
        assert not reading.done()
        assert len(got) == 100_000
        assert policy.connections == 1
        faulty.drop_connections()
        with pytest.raises(LOST):
            await reading


async def test_drip(faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    policy.drip = 0.2
    async with client(faulty, keys[0]) as sftp:
        began = time.monotonic()
        assert await read(sftp, SMALL, block=2) == b"small"
        # three pieces and the end
        assert time.monotonic() - began >= 0.8


async def test_denied_and_vanished(faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    policy.denied, policy.vanished = {BIG, "main_stream/2026/3/2"}, {SMALL}
    async with client(faulty, keys[0]) as sftp:
        assert {"big", "small"} <= set(await sftp.listdir(FOLDER))
        assert (await sftp.stat(BIG)).size == SIZE
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await read(sftp, BIG)
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await read(sftp, SMALL)
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.stat(SMALL)
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await sftp.listdir("main_stream/2026/3/2")
        policy.denied.clear()
        policy.vanished.clear()
        assert len(await read(sftp, BIG)) == SIZE
        assert await read(sftp, SMALL) == b"small"


async def test_slow_listing(policy: SftpPolicy, keys: tuple[str, str], tmp_path: Path) -> None:
    for number in range(250):
        (tmp_path / str(number)).touch()
    policy.listing_delay = 0.2
    with no_leftovers(), running_sftp(tmp_path, policy) as faulty:
        async with client(faulty, keys[0]) as sftp:
            began = time.monotonic()
            assert len(await sftp.listdir(".")) == 252
            assert time.monotonic() - began >= 0.6


async def test_refused_connections(faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    policy.refuse_connections = True
    with pytest.raises(LOST):
        await asyncssh.connect(**options(faulty, [keys[0]]))
    assert policy.most_connections == 0
    policy.refuse_connections = False
    async with client(faulty, keys[0]) as sftp:
        assert await read(sftp, SMALL) == b"small"


async def test_silence_on_open_and_new_connections(
    faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]
) -> None:
    async with client(faulty, keys[0]) as sftp:
        policy.silent = True
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(sftp, SMALL), 0.3)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncssh.connect(**options(faulty, [keys[0]])), 0.3)
        policy.silent = False
        assert await asyncio.wait_for(read(sftp, SMALL), PATIENCE) == b"small"
        policy.silent = True
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(sftp, SMALL), 0.3)
        # cut while silent, and stopped while silent at the end of the test
        faulty.drop_connections()
        assert policy.connections == 0


async def test_dropped_connections_are_counted(faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    connections = [await asyncssh.connect(**options(faulty, [keys[0]])) for _ in range(3)]
    assert (policy.connections, policy.most_connections) == (3, 3)
    faulty.drop_connections()
    assert (policy.connections, policy.most_connections) == (0, 3)
    for connection in connections:
        await asyncio.wait_for(connection.wait_closed(), PATIENCE)


async def test_a_key_is_revoked(
    faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str], other_keys: tuple[str, str]
) -> None:
    policy.authorized = [f"{other_keys[1]} with a comment"]
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(**options(faulty, [keys[0]]))
    async with client(faulty, other_keys[0]) as sftp:
        assert await read(sftp, SMALL) == b"small"


async def test_the_host_key_changes(faulty: RunningSftp, keys: tuple[str, str]) -> None:
    before = faulty.host_key
    faulty.change_host_key()
    assert faulty.host_key != before
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await asyncssh.connect(**options(faulty, [keys[0]], before))
    async with client(faulty, keys[0]) as sftp:
        assert await read(sftp, SMALL) == b"small"


async def test_a_given_host_key_and_port(root: Path, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    private, public = rsa_key_pair()
    with running_sftp(root, policy, host_key=private) as first:
        assert first.host_key == public
        with pytest.raises(OSError, match="in use"), running_sftp(root, policy, port=first.port):
            pass
    with no_leftovers(), running_sftp(root, policy, host_key=private, port=first.port) as second:
        async with client(second, keys[0]) as sftp:
            assert await read(sftp, SMALL) == b"small"


async def test_the_root_cannot_be_left(policy: SftpPolicy, keys: tuple[str, str], tmp_path: Path) -> None:
    inside, secret = tmp_path / "inside", tmp_path / "secret"
    inside.mkdir()
    secret.write_bytes(b"secret")
    (inside / "within").write_bytes(b"within")
    (inside / "way-out").symlink_to(secret)
    (inside / "way-up").symlink_to(tmp_path)
    (inside / "alias").symlink_to("within")
    with running_sftp(inside, policy) as faulty:
        async with client(faulty, keys[0]) as sftp:
            for path in ("../secret", "/../secret", str(secret), "way-out", "way-up/secret"):
                with pytest.raises(asyncssh.SFTPNoSuchFile):
                    await read(sftp, path)
            with pytest.raises(asyncssh.SFTPNoSuchFile):
                await sftp.listdir("way-up")
            assert await sftp.realpath(".") == "/"
            assert await read(sftp, "/within") == await read(sftp, "alias") == b"within"


async def test_what_was_asked_is_logged(faulty: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    async with client(faulty, keys[0]) as sftp:
        await sftp.listdir(FOLDER)
        await read(sftp, f"/{SMALL}")
        for refused in (sftp.remove(SMALL), sftp.mkdir("new"), sftp.rename(SMALL, "moved"), sftp.symlink("a", "b")):
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                await refused
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await sftp.open("new", "wb")
    assert policy.log == [
        ("list", FOLDER),
        ("open", SMALL),
        ("remove", SMALL),
        ("mkdir", "new"),
        ("rename", SMALL),
        ("symlink", "b"),
        ("write", "new"),
    ]
