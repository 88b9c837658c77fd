"""A plain SFTP client, and a folder to serve: for tests of the sandbox's own servers."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
import psutil
import pytest
from tests.waiting import PATIENCE

from pismo_sandbox.sftp.openssh import SftpServer, find_sshd
from pismo_sandbox.sftp.server import RunningSftp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

REPOSITORY = Path(__file__).parents[1]
FOLDER = "main_stream/2026/3/1/9"
BIG, SMALL = f"{FOLDER}/big", f"{FOLDER}/small"
SIZE = 12 << 20
LOST = (asyncssh.SFTPConnectionLost, asyncssh.ConnectionLost, ConnectionError)
Server = SftpServer | RunningSftp


def feed_folder(root: Path) -> Path:
    """Write a big and a small file into a folder."""
    (root / FOLDER).mkdir(parents=True)
    (root / BIG).write_bytes(os.urandom(SIZE))
    (root / SMALL).write_bytes(b"small")
    return root


def installed_sshd() -> str:
    """Return the path of OpenSSH's server, installed if possible; otherwise skip the test."""
    if find_sshd() is None:
        done = subprocess.run([REPOSITORY / "scripts/openssh"], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no sshd: {done.stderr.strip()}")
    found = find_sshd()
    assert found
    return found


@contextmanager
def no_leftovers() -> Iterator[None]:
    """Check that the block leaves no thread, process, open file or socket."""
    me = psutil.Process()
    threads = our_threads()
    children = set(me.children(recursive=True))
    files = me.num_fds()
    yield
    # those of a test before may end meanwhile
    assert our_threads() <= threads
    assert set(me.children(recursive=True)) <= children
    assert me.num_fds() <= files


def our_threads() -> set[threading.Thread]:
    # the test's own loop looks up addresses in threads of its own
    return {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


def options(server: Server, private: list[str], host_key: str | None = None) -> dict[str, Any]:
    line = f"[{server.host}]:{server.port} {host_key or server.host_key}\n"
    return {
        "host": server.host,
        "port": server.port,
        "username": server.username if isinstance(server, SftpServer) else "pismo",
        "client_keys": [asyncssh.import_private_key(text) for text in private],
        "known_hosts": asyncssh.import_known_hosts(line),
        "config": None,
        "agent_path": None,
        "login_timeout": PATIENCE,
    }


@asynccontextmanager
async def client(server: Server, private: str) -> AsyncIterator[asyncssh.SFTPClient]:
    async with asyncssh.connect(**options(server, [private])) as connection, connection.start_sftp_client() as sftp:
        yield sftp


async def read(sftp: asyncssh.SFTPClient, path: str, *, block: int = 1 << 16, into: bytearray | None = None) -> bytes:
    """Read a whole file, one request after another; `into` has the bytes from before a loss."""
    got = bytearray() if into is None else into
    async with sftp.open(path, "rb", block_size=0) as file:
        while piece := await file.read(block):
            assert isinstance(piece, bytes)
            got += piece
    return bytes(got)
