"""Pismo's SFTP layer through the provider's asynchronous hook: keys in order, pinned host, reconnecting reads."""

from __future__ import annotations

import asyncio
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import asyncssh
from airflow.providers.sftp.hooks.sftp import SFTPHookAsync
from airflow.sdk import BaseHook

from pismo.hooks.loop_thread import LoopThread
from pismo.hooks.sftp_errors import LOST, named
from pismo.hooks.sftp_keys import SftpIdentity, identity_of, key_label
from pismo.hooks.sftp_read import opened, read_on
from pismo_lake.errors import ConfigError, KeysDenied, SizeMismatch, SourceUnavailable
from pismo_lake.landing.remote_file import RemoteFile
from pismo_lake.paths import is_event_file
from pismo_lake.settings.channels import SFTP_ENDPOINTS, Environment, SftpSource, below_prefix

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator

    from pismo_lake.hours import PublishHour
    from pismo_lake.settings.deliveries import Delivery

T = TypeVar("T")

PORT = 22
_LISTINGS = 8
# Pismo-like servers refuse SHA-1 signatures; GCM is what a CPU with AES does fastest
_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")
_CIPHERS = (
    "aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr", "aes128-ctr",
)  # fmt: skip


def endpoint(delivery: Delivery, connection_host: str | None) -> str:
    """The host: the delivery's, else the connection's, else the environment's; never the other environment's."""
    assert isinstance(delivery.source, SftpSource)
    host = delivery.source.host or connection_host or SFTP_ENDPOINTS[delivery.environment]
    for environment in Environment:
        if environment is not delivery.environment and host.lower().rstrip(".") == SFTP_ENDPOINTS[environment]:
            msg = (
                f"{delivery.name}: environment is {delivery.environment.value}, but {host} is Pismo's"
                f" {environment.value} endpoint: their users and keys differ"
            )
            raise ConfigError(msg)
    return host


class PismoSFTPHook(SFTPHookAsync):
    """`SFTPHookAsync` that only reads, keeps a few connections for many files, and can be called from threads.

    All network work runs in one event loop in a thread of the hook's own. A lost connection is made anew and a
    download goes on at the byte it had reached.
    """

    def __init__(self, delivery: Delivery) -> None:
        assert isinstance(delivery.source, SftpSource)
        connection = BaseHook.get_connection(delivery.conn_id)
        self.delivery, self.source = delivery, delivery.source
        self.identity: SftpIdentity = identity_of(connection)
        host = endpoint(delivery, connection.host)
        port = self.source.port or connection.port or PORT
        super().__init__(sftp_conn_id=delivery.conn_id, host=host, port=port, username=self.identity.username)
        # it tells of every channel and key exchange at INFO, which is Airflow's level for everybody
        asyncssh.set_log_level("WARNING")
        self.place = f"sftp://{self.identity.username}@{host}:{port}"
        self._first_key = 0
        self._clients: list[tuple[asyncssh.SSHClientConnection, asyncssh.SFTPClient]] = []
        self._turn = 0
        self._connecting: asyncio.Lock | None = None
        self._loop = LoopThread(f"sftp-{delivery.name}")

    # --- what finding and landing ask -------------------------------------------------------------------------

    def list_files(self, hours: Iterable[PublishHour]) -> Iterator[RemoteFile]:
        """Event files in the folders of publish hours, padded or not; a folder that is not there has none."""
        folders = [folder for hour in hours for folder in hour.prefixes(self.source.prefix)]
        yield from self._loop.wait(self._list_all(folders))

    def list_prefix(self, prefix: str) -> Iterator[RemoteFile]:
        """Every file of one folder below `root`."""
        yield from self._loop.wait(self._list_all([prefix]))

    @contextmanager
    def fetch(self, file: RemoteFile) -> Iterator[Iterator[bytes]]:
        """An event file, whole and in order however often the connection was lost."""
        yield iter([self._loop.wait(self._download(file))])

    def has(self, key: str) -> bool:
        """Ask for the attributes of the key's path."""

        async def found(client: asyncssh.SFTPClient) -> bool:
            async with asyncio.timeout(self.source.stall_seconds):
                return await client.exists(self.path_of(key))

        return self._loop.wait(self._persist(found, key))

    def event_key(self, key: str) -> str:
        """Notices name the bucket's key, which is the path below `root`."""
        return below_prefix(key, self.source.prefix)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the hook's own loop."""
        return self._loop.wait(work)

    def close(self) -> None:
        """Close the connections and end the loop's thread."""
        if self._loop.started:
            self._loop.wait(self._close_clients())
        self._loop.close()

    # --- connecting -------------------------------------------------------------------------------------------

    async def _get_conn(self) -> asyncssh.SSHClientConnection:
        """A connection by the first key that the server takes, each tried on a connection of its own.

        A server ends a connection after a few refused keys (OpenSSH: six), so eight cannot be offered on one.
        """
        keys = self.identity.keys
        for step in range(len(keys)):
            number = (self._first_key + step) % len(keys)
            try:
                connection = await self.connect_with(keys[number])
            except asyncssh.PermissionDenied:
                self.log.info(
                    "%s: key %d of %d, %s, refused", self.place, number + 1, len(keys), key_label(keys[number])
                )
                continue
            self._first_key = number
            return connection
        msg = (
            f"{self.place}: none of {len(keys)} key(s) accepted. Keys and users of sandbox and production differ: is"
            f" this connection {self.delivery.environment.value}'s? Otherwise ask Pismo to register the public key"
        )
        raise KeysDenied(msg)

    async def connect_with(self, key: asyncssh.SSHKey) -> asyncssh.SSHClientConnection:
        """A connection by this key alone; asyncssh's own errors."""
        source = self.source
        return await asyncssh.connect(
            self.host or "", self.port or PORT, username=self.identity.username, client_keys=[key],
            known_hosts=(list(self.identity.host_keys), [], []), config=None, agent_path=None,
            preferred_auth="publickey", signature_algs=_SIGNATURES, encryption_algs=_CIPHERS, compression_algs=None,
            connect_timeout=source.connect_seconds, login_timeout=source.connect_seconds,
            keepalive_interval=source.keepalive_seconds, keepalive_count_max=3,
        )  # fmt: skip

    async def _client(self) -> asyncssh.SFTPClient:
        """One of the open SFTP sessions, a new one while there are fewer than `connections`."""
        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:
            self._clients = [pair for pair in self._clients if not pair[0].is_closed()]
            if len(self._clients) < self.source.connections:
                connection = await self._get_conn()
                try:
                    session = connection.start_sftp_client()
                    self._clients.append((connection, await asyncio.wait_for(session, self.source.connect_seconds)))
                except BaseException:
                    connection.abort()
                    raise
                return self._clients[-1][1]
        self._turn += 1
        return self._clients[self._turn % len(self._clients)][1]

    def _drop(self, client: asyncssh.SFTPClient) -> None:
        for connection, session in self._clients:
            if session is client:
                connection.abort()
        self._clients = [pair for pair in self._clients if pair[1] is not client]

    async def _close_clients(self) -> None:
        for connection, session in self._clients:
            session.exit()
            connection.close()
        for connection, _ in self._clients:
            try:
                await asyncio.wait_for(connection.wait_closed(), 5)
            except TimeoutError:
                connection.abort()
        self._clients.clear()

    async def _persist(
        self, work: Callable[[asyncssh.SFTPClient], Awaitable[T]], key: str, progress: Callable[[], int] = lambda: 0
    ) -> T:
        """Do some work, on a new connection where the one at hand was lost.

        A permanent error ends it at once, a passing one after `attempts` without progress.
        """
        attempt, reached = 0, 0
        while True:
            client = None
            try:
                client = await self._client()
                return await work(client)
            except (asyncssh.Error, OSError, KeysDenied) as error:
                cause = named(error, self.place, key)
                attempt, reached = (attempt + 1, reached) if progress() <= reached else (1, progress())
                if not isinstance(cause, SourceUnavailable) or attempt >= self.source.attempts:
                    raise cause from error
                self.log.warning("%s; trying again (%d of %d)", cause, attempt, self.source.attempts)
                if client is not None and isinstance(error, LOST):
                    self._drop(client)
                # apart from each other, so that many readers do not come back at once
                await asyncio.sleep(min(2.0**attempt, 30) * random.uniform(0.25, 0.5))  # noqa: S311 - no secret

    # --- reading ----------------------------------------------------------------------------------------------

    def path_of(self, key: str) -> str:
        """A key's path at the server."""
        return f"{self.source.root.rstrip('/')}/{key}" if self.source.root else key

    async def _list_all(self, folders: list[str]) -> list[RemoteFile]:
        gate = asyncio.Semaphore(_LISTINGS)

        async def one(folder: str) -> list[RemoteFile]:
            async with gate:
                return await self._persist(lambda client: self._list(client, folder), folder)

        return [file for files in await asyncio.gather(*map(one, folders)) for file in files]

    async def _list(self, client: asyncssh.SFTPClient, folder: str) -> list[RemoteFile]:
        found = []
        entries = aiter(client.scandir(self.path_of(folder.rstrip("/"))))
        try:
            while True:
                async with asyncio.timeout(self.source.stall_seconds):
                    entry = await anext(entries)
                file = self._file(folder, entry)
                if file is not None:
                    found.append(file)
        except (StopAsyncIteration, asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return found

    def _file(self, folder: str, entry: asyncssh.SFTPName) -> RemoteFile | None:
        attrs, name = entry.attrs, entry.filename
        plain = attrs.type in {asyncssh.FILEXFER_TYPE_REGULAR, asyncssh.FILEXFER_TYPE_UNKNOWN}
        if not plain or name in {".", ".."}:
            return None
        text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
        if not is_event_file(text):
            return None
        version = f"mtime-{attrs.mtime}" if self.source.mtime_is_version and attrs.mtime is not None else None
        return RemoteFile(f"{folder}{text}", attrs.size, version)

    async def _download(self, file: RemoteFile) -> bytes:
        data = bytearray()

        async def work(client: asyncssh.SFTPClient) -> None:
            seconds, block = self.source.stall_seconds, client.limits.max_read_len
            async with opened(client, self.path_of(file.key), seconds) as remote:
                await read_on(remote, data, file.size, block=block, stall_seconds=seconds)

        await self._persist(work, file.key, lambda: len(data))
        if file.size is not None and len(data) != file.size:
            msg = f"{self.place}/{file.key} came with {len(data)} bytes, {file.size} were announced"
            raise SizeMismatch(msg, key=file.key)
        return bytes(data)
