"""Run an SFTP server in this process, with faults that can be switched while it runs.

It is asyncssh's server, in a thread with its own loop. A relay is between it and each client. So a cut, a silence or a
refusal happens in the TCP connection, as a client meets it, and is not an orderly end of SSH.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING

import asyncssh

from pismo_sandbox.sftp.files import Files, Link
from pismo_sandbox.sftp.policy import Links, SftpPolicy, Sizes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Links", "RunningSftp", "SftpPolicy", "Sizes", "rsa_key_pair", "running_sftp"]

_HOST = "127.0.0.1"
_TURNS = 5
_MAX_AUTH_TRIES = 6
_SILENCE_STEP = 0.02


def rsa_key_pair(bits: int = 2048) -> tuple[str, str]:
    """Return a new RSA key: the private half as OpenSSH's PEM, the public half as two words."""
    key = asyncssh.generate_private_key("ssh-rsa", key_size=bits)
    return key.export_private_key().decode(), _public_line(key)


def _public_line(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key().decode().split()[:2])


class _Login(asyncssh.SSHServer):
    """Accepts only public keys, and as many tries as OpenSSH."""

    def __init__(self, policy: SftpPolicy) -> None:
        self._policy, self._failures = policy, 0

    def password_auth_supported(self) -> bool:
        return False

    def kbdint_auth_supported(self) -> bool:
        return False

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        if _public_line(key) in {" ".join(line.split()[:2]) for line in self._policy.authorized}:
            return True
        self._failures += 1
        if self._failures >= _MAX_AUTH_TRIES:
            raise asyncssh.DisconnectError(asyncssh.DISC_PROTOCOL_ERROR, "Too many authentication failures")
        return False


class RunningSftp:
    """A running server: its address, the public line of its host key, and its faults."""

    def __init__(self, root: Path, policy: SftpPolicy, host_key: str | None) -> None:
        self.host, self.port, self.policy = _HOST, 0, policy
        self._root, self._links, self._clients = root, set[Link](), set[asyncio.Task[None]]()
        self._loop, self._stop = asyncio.new_event_loop(), asyncio.Event()
        self._key = asyncssh.import_private_key(host_key) if host_key else _new_host_key()

    @property
    def host_key(self) -> str:
        """The public line of the host key that new connections see."""
        return _public_line(self._key)

    def change_host_key(self) -> None:
        """Show new connections another host key."""
        self._key = _new_host_key()

    def drop_connections(self) -> None:
        """Cut every open connection."""
        asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result()

    def _run(self, port: int, ready: Future[None]) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(port, ready))

    async def _serve(self, port: int, ready: Future[None]) -> None:
        try:
            server = await asyncio.start_server(self._client, _HOST, port, backlog=128)
        except OSError as error:
            ready.set_exception(error)
            return
        self.port = server.sockets[0].getsockname()[1]
        ready.set_result(None)
        await self._stop.wait()
        server.close()
        # a connection that was just accepted is a client after a few turns of the loop
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        await self._drop()
        # transports close in the turn after
        await asyncio.sleep(0)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)

    async def _drop(self) -> None:
        for link in self._links:
            link.abort()
        await asyncio.gather(*self._clients, return_exceptions=True)

    def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.policy.refuse_connections:
            writer.close()
            return
        link = Link(writer.transport)
        self._links.add(link)
        task = self._loop.create_task(self._relay(reader, writer, link))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link) -> None:
        policy = self.policy
        policy.connections += 1
        policy.made += 1
        policy.most_connections = max(policy.most_connections, policy.connections)
        near, far = socket.socketpair()
        inner_reader, inner_writer = await asyncio.open_connection(sock=near)
        ssh = asyncio.create_task(self._ssh(far, link))
        pumps = {
            asyncio.create_task(_pump(reader, inner_writer, policy)),
            asyncio.create_task(_pump(inner_reader, writer, policy)),
        }
        ends = {*pumps, asyncio.create_task(link.gone.wait())}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        link.gone.set()
        self._links.discard(link)
        policy.connections -= 1
        for task in ends:
            task.cancel()
        writer.close()
        inner_writer.close()
        await asyncio.gather(*ends, ssh, writer.wait_closed(), inner_writer.wait_closed(), return_exceptions=True)

    async def _ssh(self, sock: socket.socket, link: Link) -> None:
        connection = await asyncssh.run_server(
            sock,
            server_factory=lambda: _Login(self.policy),
            server_host_keys=[self._key],
            sftp_factory=lambda chan: Files(chan, self._root, self.policy, link),
            sftp_version=3,
            login_timeout=0,
            allow_scp=False,
            agent_forwarding=False,
        )
        await connection.wait_closed()


def _new_host_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, policy: SftpPolicy) -> None:
    while data := await reader.read(1 << 16):
        while policy.silent:
            await asyncio.sleep(_SILENCE_STEP)
        writer.write(data)
        await writer.drain()


@contextmanager
def running_sftp(
    root: Path, policy: SftpPolicy, *, port: int = 0, host_key: str | None = None
) -> Iterator[RunningSftp]:
    """Run the server on a loopback port; `host_key` is a private key in PEM form."""
    server, ready = RunningSftp(root, policy, host_key), Future[None]()
    thread = threading.Thread(target=server._run, args=(port, ready), name="pismo-sftp", daemon=True)  # noqa: SLF001
    thread.start()
    try:
        ready.result()
    except OSError:
        thread.join()
        raise
    try:
        yield server
    finally:
        server._end()  # noqa: SLF001
        thread.join()
