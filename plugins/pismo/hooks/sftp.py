"""Read Pismo's SFTP server through the provider's hook: many keys, one pinned host."""

from __future__ import annotations

import asyncio
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import asyncssh
from airflow.providers.sftp.hooks.sftp import SFTPHookAsync
from airflow.sdk import BaseHook

from pismo.hooks.loop_thread import LoopThread
from pismo.hooks.sftp_errors import FAILED, LOST, convert_error
from pismo.hooks.sftp_keys import SftpIdentity, identity_of, key_label
from pismo.hooks.sftp_list import Listing
from pismo.hooks.sftp_read import Download, open_remote
from pismo.hooks.sftp_session import Session
from pismo_lake.errors import ConfigError, KeysDenied, SourceUnavailable
from pismo_lake.settings.channels import SFTP_ENDPOINTS, Environment, SftpSource, cut_prefix

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence

    from pismo_lake.hours import PublishHour
    from pismo_lake.landing.remote_file import RemoteFile
    from pismo_lake.settings.deliveries import Delivery

T = TypeVar("T")

PORT = 22
# Pismo-like servers refuse SHA-1 signatures; GCM is the fastest cipher on a CPU with AES instructions
_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")
_CIPHERS = (
    "aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr", "aes128-ctr",
)  # fmt: skip


def endpoint(delivery: Delivery, connection_host: str | None) -> str:
    """Return the host: of the delivery, else of the connection, else of the environment.

    Raises:
        ConfigError: the host is the other environment's endpoint.
    """
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
    """`SFTPHookAsync` that only reads, uses few connections for many files, and serves threads.

    All network work runs in one event loop, in a thread of the hook's own. If a connection is lost, a new one is
    opened, and a download continues at the byte that it had reached.
    """

    def __init__(self, delivery: Delivery) -> None:
        assert isinstance(delivery.source, SftpSource)
        connection = BaseHook.get_connection(delivery.conn_id)
        self.delivery, self.source = delivery, delivery.source
        self.identity: SftpIdentity = identity_of(connection)
        host = endpoint(delivery, connection.host)
        port = self.source.port or connection.port or PORT
        super().__init__(sftp_conn_id=delivery.conn_id, host=host, port=port, username=self.identity.username)
        # asyncssh logs every channel and key exchange at INFO, Airflow's default level
        asyncssh.set_log_level("WARNING")
        self.place = f"sftp://{self.identity.username}@{host}:{port}"
        self._first_key = 0
        self._sessions: list[Session] = []
        self._reads = self.source.reads
        self._turn = 0
        self._connecting: asyncio.Lock | None = None
        self._loop = LoopThread(f"sftp-{delivery.name}")

    # --- for finding and landing -------------------------------------------------------------------------

    def list_files(self, hours: Iterable[PublishHour]) -> Iterator[RemoteFile]:
        """List the event files of publish hours, padded or not; a missing folder has no files."""
        folders = [hour.prefixes(self.source.prefix) for hour in hours]
        yield from self._loop.wait(self._list_all(folders))

    def list_prefix(self, prefix: str) -> Iterator[RemoteFile]:
        """List every file of one folder below `root`."""
        yield from self._loop.wait(self._list_all([[prefix]]))

    @contextmanager
    def fetch(self, file: RemoteFile) -> Iterator[Iterator[bytes]]:
        """Fetch an event file whole and in order, even if the connection is lost in between."""
        yield iter([self._loop.wait(self._download(file))])

    def has(self, key: str) -> bool:
        """Return whether the key's path exists at the server."""

        async def found(session: Session) -> bool:
            async with asyncio.timeout(self.source.stall_seconds):
                return await session.client.exists(self.path_of(key))

        return self._loop.wait(self.persist(found, key))

    def event_key(self, key: str) -> str:
        """Return the path below `root`, which notices use as the key."""
        return cut_prefix(key, self.source.prefix)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the hook's own loop."""
        return self._loop.wait(work)

    def close(self) -> None:
        """Close the connections and end the loop's thread."""
        self._loop.close(self._close_sessions)

    # --- connecting -------------------------------------------------------------------------------------------

    async def _get_conn(self) -> asyncssh.SSHClientConnection:
        """Return a connection with the first key that the server accepts.

        Each key is tried on its own connection: a server ends a connection after a few refused keys (OpenSSH: six), so
        eight keys cannot be tried on one.
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
        """Connect with only this key; raises asyncssh's own errors."""
        source = self.source
        return await asyncssh.connect(
            self.host or "", self.port or PORT, username=self.identity.username, client_keys=[key],
            known_hosts=(list(self.identity.host_keys), [], []), config=None, agent_path=None,
            preferred_auth="publickey", signature_algs=_SIGNATURES, encryption_algs=_CIPHERS, compression_algs=None,
            connect_timeout=source.connect_seconds, login_timeout=source.connect_seconds,
            keepalive_interval=source.keepalive_seconds, keepalive_count_max=3,
            # a reason in another encoding must not hide the error itself
            utf8_decode_errors="backslashreplace",
        )  # fmt: skip

    async def _session(self) -> Session:
        """Return an open session, or a new one if fewer than `connections` are open."""
        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:
            self._sessions = [session for session in self._sessions if not session.connection.is_closed()]
            if len(self._sessions) < self.source.connections:
                connection = await self._get_conn()
                try:
                    started = connection.start_sftp_client()
                    client = await asyncio.wait_for(started, self.source.connect_seconds)
                except BaseException:
                    connection.abort()
                    raise
                self._sessions.append(Session(connection, client, self._reads))
                return self._sessions[-1]
        self._turn += 1
        return self._sessions[self._turn % len(self._sessions)]

    def _drop(self, session: Session) -> None:
        """Drop a lost session; if it had many reads at once, later sessions get fewer."""
        session.connection.abort()
        self._sessions = [other for other in self._sessions if other is not session]
        if session.fewer_reads < self._reads:
            self._reads = session.fewer_reads
            self.log.info("%s: now at most %d request(s) at once on a connection", self.place, self._reads)

    async def _close_sessions(self) -> None:
        for session in self._sessions:
            session.client.exit()
            session.connection.close()
        for session in self._sessions:
            try:
                await asyncio.wait_for(session.connection.wait_closed(), 5)
            except TimeoutError:
                session.connection.abort()
        self._sessions.clear()

    async def persist(
        self, work: Callable[[Session], Awaitable[T]], key: str, progress: Callable[[], int] = lambda: 0
    ) -> T:
        """Do some work, and repeat it on a new connection if the connection is lost.

        A permanent error is raised at once, a temporary one after `attempts` without progress. The loss of a session
        is not counted if the next session gets fewer reads at once.
        """
        attempt, reached = 0, 0
        while True:
            session = None
            try:
                session = await self._session()
                return await work(session)
            except (*FAILED, KeysDenied) as error:
                cause = convert_error(error, self.place, key)
                lost = session is not None and isinstance(error, LOST)
                if session is not None and lost:
                    self._drop(session)
                if progress() > reached:
                    attempt, reached = 1, progress()
                elif session is None or not lost or session.reads <= self._reads:
                    attempt += 1
                if not isinstance(cause, SourceUnavailable) or attempt >= self.source.attempts:
                    raise cause from error
                self.log.warning("%s; trying again (%d of %d)", cause, attempt, self.source.attempts)
                # at random times, so that many readers do not reconnect at once
                await asyncio.sleep(min(2.0**attempt, 30) * random.uniform(0.25, 0.5))  # noqa: S311 - no secret

    # --- reading ----------------------------------------------------------------------------------------------

    def path_of(self, key: str) -> bytes:
        """Return a key's path at the server, as bytes like those of a listing; the root if empty."""
        root = self.source.root
        path = f"{root.rstrip('/')}/{key}" if root and key else key or root or "."
        return path.encode("utf-8", "surrogateescape")

    async def _list_all(self, groups: Sequence[Sequence[str]]) -> list[RemoteFile]:
        return await Listing(self).files(groups)

    async def _download(self, file: RemoteFile) -> bytes:
        source = self.source
        download = Download(
            self.place, file.key, file.size,
            believed=source.size_is_right, reads=source.reads, stall_seconds=source.stall_seconds,
        )  # fmt: skip

        async def work(session: Session) -> None:
            async with open_remote(session, self.path_of(file.key), source.stall_seconds) as remote:
                await download.go_on(session, remote)

        await self.persist(work, file.key, lambda: len(download.data))
        return bytes(download.data)
