"""OpenSSH's own server as the sandbox runs it, met by a real client."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import asyncssh
import psutil
import pytest
from tests.sftp_client import (
    LOST,
    REPOSITORY,
    SMALL,
    client,
    no_leftovers,
    options,
    read,
)  # fmt: skip
from tests.waiting import PATIENCE

from pismo_sandbox.sftp.openssh import SftpServer, SshdFailedError, SshdMissingError, running_openssh

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


async def test_openssh_takes_sha2_signatures_only(openssh: SftpServer, keys: tuple[str, str]) -> None:
    for algorithm in ("rsa-sha2-256", "rsa-sha2-512"):
        async with asyncssh.connect(**options(openssh, [keys[0]]), signature_algs=[algorithm]):
            pass
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(**options(openssh, [keys[0]]), signature_algs=["ssh-rsa"])


async def test_openssh_runs_no_command_and_forwards_nothing(openssh: SftpServer, keys: tuple[str, str]) -> None:
    async with asyncssh.connect(**options(openssh, [keys[0]])) as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection(openssh.host, openssh.port)
        # the command is not run: the SFTP server answers, and ends because it gets no request
        done = await connection.run("echo hello", stdin=asyncssh.DEVNULL)
        assert "hello" not in str(done.stdout)


async def test_openssh_restarts_with_the_same_port_and_keys(openssh: SftpServer, keys: tuple[str, str]) -> None:
    async with client(openssh, keys[0]) as sftp:
        openssh.restart()
        with pytest.raises(LOST):
            await read(sftp, SMALL)
    async with client(openssh, keys[0]) as sftp:
        assert await read(sftp, SMALL) == b"small"


async def test_openssh_stops_with_its_sessions_and_starts_again(openssh: SftpServer, keys: tuple[str, str]) -> None:
    connection = await asyncssh.connect(**options(openssh, [keys[0]]))
    await connection.start_sftp_client()
    assert openssh._daemon.process
    started = psutil.Process(openssh._daemon.process.pid)
    # sshd, and at least the process that serves the session
    processes = [started, *started.children(recursive=True)]
    assert len(processes) > 1
    openssh.stop()
    await asyncio.wait_for(connection.wait_closed(), PATIENCE)
    assert not openssh.running
    # in a container, dead processes may stay as zombies
    assert not [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    with pytest.raises(ConnectionRefusedError):
        await asyncssh.connect(**options(openssh, [keys[0]]))
    openssh.start()
    async with client(openssh, keys[0]) as sftp:
        assert await read(sftp, SMALL) == b"small"


async def test_openssh_keeps_host_keys_in_its_state(
    sshd: str, root: Path, keys: tuple[str, str], tmp_path: Path
) -> None:
    # a blank and a per cent sign have a meaning in sshd's configuration
    feed, state = tmp_path / "a 100% feed", tmp_path / "a 100% state"
    feed.symlink_to(root)
    with no_leftovers(), running_openssh(feed, [keys[1]], state=state) as first:
        async with client(first, keys[0]) as sftp:
            assert await read(sftp, SMALL) == b"small"
    with no_leftovers(), running_openssh(feed, [keys[1]], state=state, port=first.port) as second:
        assert (second.host_key, second.port) == (first.host_key, first.port)
        async with client(second, keys[0]) as sftp:
            assert await read(sftp, SMALL) == b"small"


def test_openssh_says_why_it_cannot_start(
    sshd: str, root: Path, keys: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SshdFailedError, match="Address already in use"), running_openssh(root, [], port=port):
            pass
    monkeypatch.setattr("pismo_sandbox.sftp.openssh.find_sshd", lambda: None)
    with pytest.raises(SshdMissingError, match="scripts/openssh"), running_openssh(root, []):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_openssh_from_the_command_line(
    sshd: str, root: Path, keys: tuple[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    authorized = tmp_path / "authorized_keys"
    authorized.write_text(f"# consumers\n\n{keys[1]} somebody@somewhere\n")
    command = [sys.executable, "-m", "pismo_sandbox.sftp.openssh", "--root", root, "--authorized-keys", authorized]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "include")}
    with no_leftovers(), subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        line = process.stdout.readline()
        found = re.fullmatch(r"sftp://([^@]+)@(127\.0\.0\.1):(\d+) hostkey (ssh-ed25519 \S+)\n", line)
        assert found, line
        user, host, port, host_key = found.groups()
        server = SftpServer(host, int(port), user, host_key, None)  # type: ignore[arg-type]
        async with client(server, keys[0]) as sftp:
            assert await read(sftp, SMALL) == b"small"
            process.send_signal(number)
            assert await asyncio.to_thread(process.wait, PATIENCE) == 0
