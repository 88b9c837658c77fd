"""Test the common behaviour of the sandbox's SFTP servers: OpenSSH, and the one with faults."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncssh
import pytest
from tests.sftp_client import (
    BIG,
    FOLDER,
    SIZE,
    SMALL,
    Server,
    client,
    options,
    read,
)  # fmt: skip

from pismo_sandbox.sftp.server import rsa_key_pair

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.fixture(params=["openssh", "faulty"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


async def test_lists_with_sizes(server: Server, keys: tuple[str, str]) -> None:
    async with client(server, keys[0]) as sftp:
        found = {str(entry.filename): entry.attrs.size async for entry in sftp.scandir(FOLDER)}
        assert {"big": SIZE, "small": 5}.items() <= found.items()
        assert found.keys() <= {"big", "small", ".", ".."}
        assert (await sftp.stat(SMALL)).size == 5
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.listdir("main_stream/2026/3/1/10")


async def test_reads_every_byte(server: Server, root: Path, keys: tuple[str, str], tmp_path: Path) -> None:
    async with client(server, keys[0]) as sftp:
        assert await read(sftp, BIG) == (root / BIG).read_bytes()
        # many requests at once, as a whole-file copy makes them
        await sftp.get(BIG, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == (root / BIG).read_bytes()


async def test_refuses_every_change(server: Server, root: Path, keys: tuple[str, str]) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*"))
    async with client(server, keys[0]) as sftp:
        changes = [
            lambda: sftp.open(f"{FOLDER}/new", "wb"),
            lambda: sftp.open(SMALL, "ab"),
            lambda: sftp.open(SMALL, "r+b"),
            lambda: sftp.remove(SMALL),
            lambda: sftp.rename(SMALL, f"{FOLDER}/moved"),
            lambda: sftp.posix_rename(SMALL, f"{FOLDER}/moved"),
            lambda: sftp.mkdir(f"{FOLDER}/folder"),
            lambda: sftp.rmdir(FOLDER),
            lambda: sftp.chmod(SMALL, 0o777),
            lambda: sftp.truncate(SMALL, 1),
            lambda: sftp.symlink("small", f"{FOLDER}/symlink"),
            lambda: sftp.link(SMALL, f"{FOLDER}/hardlink"),
        ]
        for change in changes:
            # OpenSSH does not even offer some of them if it is read-only
            with pytest.raises((asyncssh.SFTPPermissionDenied, asyncssh.SFTPOpUnsupported)):
                await change()
    assert sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*")) == before


async def test_refuses_other_keys_and_passwords(
    server: Server, keys: tuple[str, str], other_keys: tuple[str, str]
) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(**options(server, [other_keys[0]]))
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(**{**options(server, []), "client_keys": None, "password": "secret"})


async def test_shows_its_host_key_and_no_other(server: Server, keys: tuple[str, str]) -> None:
    seen = await asyncssh.get_server_host_key(server.host, server.port, config=None, server_host_key_algs="ssh-ed25519")
    assert seen
    assert seen.export_public_key().decode().split()[:2] == server.host_key.split()
    another = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await asyncssh.connect(**options(server, [keys[0]], another))


@pytest.mark.parametrize(("wrong", "message"), [(5, None), (6, "Too many authentication failures")])
async def test_six_wrong_keys_are_too_many(
    server: Server, keys: tuple[str, str], wrong: int, message: str | None
) -> None:
    offered = [rsa_key_pair(1024)[0] for _ in range(wrong)] + [keys[0]]
    if message is None:
        async with asyncssh.connect(**options(server, offered)):
            return
    with pytest.raises(asyncssh.DisconnectError, match=message):
        await asyncssh.connect(**options(server, offered))


async def test_fifty_at_once(server: Server, keys: tuple[str, str]) -> None:
    async def one() -> bytes:
        async with client(server, keys[0]) as sftp:
            return await read(sftp, SMALL)

    assert await asyncio.gather(*(one() for _ in range(50))) == [b"small"] * 50
