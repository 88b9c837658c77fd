"""Each dial of the in-process SFTP server makes it differ from OpenSSH for a real client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncssh
import pytest
from tests.sftp_client import LOST, client, no_leftovers

from pismo_sandbox.sftp.server import Links, RunningSftp, SftpPolicy, Sizes, running_sftp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
BODY = bytes(range(256)) * 400


@pytest.fixture
def server(tmp_path: Path, policy: SftpPolicy) -> Iterator[RunningSftp]:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_bytes(BODY)
    (tmp_path / "folder/link").symlink_to("file")
    with no_leftovers(), running_sftp(tmp_path, policy) as server:
        yield server


async def test_answers_have_other_lengths(server: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    async with client(server, keys[0]) as sftp, sftp.open("folder/file", "rb", block_size=0) as file:
        policy.answers_most = 10
        assert await file.read(100, 1000) == BODY[1000:1010]
        policy.answers_more = 5
        assert await file.read(100, 1000) == BODY[1000:1015]
        policy.answers_most = None
        assert await file.read(100, 1000) == BODY[1000:1105]
    assert policy.served == 10 + 15 + 105


async def test_a_read_behind_the_end_fails(server: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    policy.past_end, policy.says = asyncssh.FX_FAILURE, "no such range"
    async with client(server, keys[0]) as sftp, sftp.open("folder/file", "rb", block_size=0) as file:
        assert await file.read(10, len(BODY) - 5) == BODY[-5:]
        with pytest.raises(asyncssh.SFTPFailure, match="no such range"):
            await file.read(10, len(BODY))


@pytest.mark.parametrize("too_many", [None, asyncssh.FX_FAILURE])
async def test_too_many_reads_at_once(
    server: RunningSftp, policy: SftpPolicy, keys: tuple[str, str], too_many: int | None
) -> None:
    policy.most_requests, policy.too_many = 3, too_many
    error = LOST if too_many is None else asyncssh.SFTPFailure
    async with client(server, keys[0]) as sftp:
        file = await sftp.open("folder/file", "rb", block_size=0)
        assert await asyncio.gather(*(file.read(10, 10 * number) for number in range(3)))
        with pytest.raises(error):
            await asyncio.gather(*(file.read(10, 10 * number) for number in range(4)))


@pytest.mark.parametrize("code", [asyncssh.FX_FAILURE, asyncssh.FX_PERMISSION_DENIED, asyncssh.FX_NO_SUCH_FILE])
async def test_a_missing_path(server: RunningSftp, policy: SftpPolicy, keys: tuple[str, str], code: int) -> None:
    policy.missing = code
    async with client(server, keys[0]) as sftp:
        for ask in (sftp.listdir, sftp.stat, sftp.lstat):
            with pytest.raises(asyncssh.SFTPError) as raised:
                await ask("nowhere")
            assert raised.value.code == code


async def test_a_folder_that_cannot_be_listed(server: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    policy.unlisted = {"."}
    async with client(server, keys[0]) as sftp:
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await sftp.listdir(".")
        assert "file" in await sftp.listdir("folder")


async def test_attributes(server: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    async def entries() -> dict[str, asyncssh.SFTPName]:
        return {str(entry.filename): entry async for entry in sftp.scandir("folder")}

    async with client(server, keys[0]) as sftp:
        assert (await entries())["link"].attrs.type == asyncssh.FILEXFER_TYPE_SYMLINK
        policy.links = Links.FOLLOWED
        assert (await entries())["link"].attrs.type == asyncssh.FILEXFER_TYPE_REGULAR
        policy.permissions, policy.longname, policy.extra_names = False, b"long", (b"more/",)
        found = await entries()
        assert (found["file"].attrs.permissions, found["file"].longname) == (None, "long")
        assert "more/" in found
        for sizes, stated in {
            Sizes.RIGHT: len(BODY),
            Sizes.ZERO: 0,
            Sizes.NONE: None,
            Sizes.SMALLER: len(BODY) // 2,
        }.items():
            policy.sizes = sizes
            assert (await entries())["file"].attrs.size == (await sftp.stat("folder/file")).size == stated


async def test_a_listing_that_breaks_off(server: RunningSftp, policy: SftpPolicy, keys: tuple[str, str]) -> None:
    policy.listing_breaks_after = 3
    async with client(server, keys[0]) as sftp:
        with pytest.raises(asyncssh.SFTPFailure):
            await sftp.listdir("folder")
