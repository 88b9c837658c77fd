"""Run Debian's PostgreSQL server for tests: a new cluster, a Unix socket and a free port."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import NullPool, create_engine, text
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

SERVER_USER = "postgres"
NOT_SYNCED = "-c fsync=off -c full_page_writes=off"
"""Settings that lose data only if the machine itself stops, and save much waiting for the disk."""


def find_binaries() -> Path:
    """Return the folder of initdb and pg_ctl; skip the test if they are missing.

    `scripts/postgresql` installs them.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed: run scripts/postgresql as root")
    return found[-1].parent


class PostgresServer:
    """A cluster with user `ledger` without a password, only for this machine; it can be stopped."""

    def __init__(self, connections: int = 60) -> None:
        self._binaries = find_binaries()
        self.port = free_port()
        self._connections = connections
        self._root = Path(tempfile.mkdtemp(prefix="pismo-pg-"))
        self._as_server: dict[str, Any] = {}
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root
            user = pwd.getpwnam(SERVER_USER)
            os.chown(self._root, user.pw_uid, user.pw_gid)
            self._as_server = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._as_server |= {"check": True, "stdout": subprocess.DEVNULL, "cwd": self._root}
        self._run("initdb", "-U", "ledger", "-A", "trust", "-E", "UTF8", "--no-sync")

    @property
    def url(self) -> str:
        """Its SQLAlchemy URL."""
        return f"postgresql+psycopg://ledger@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._root}"
        options += f" -c max_connections={self._connections} {NOT_SYNCED}"
        self._run("pg_ctl", "-w", "-t", str(int(PATIENCE)), "-o", options, "-l", self._root / "log", "start")

    def stop(self) -> None:
        """Stop all of its processes at once; it recovers when it starts again."""
        self._run("pg_ctl", "-w", "-t", str(int(PATIENCE)), "-m", "immediate", "stop")

    def remove(self) -> None:
        """Delete its files."""
        shutil.rmtree(self._root, ignore_errors=True)

    def _run(self, command: str, *arguments: str | Path) -> None:
        subprocess.run([self._binaries / command, "-D", self._root / "data", *arguments], **self._as_server)


@contextmanager
def maintenance(server: str) -> Iterator[Connection]:
    """Connect to a server outside of a transaction, to make or drop databases."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def make_database(server: str, name: str, template: str = "template1") -> str:
    """Make a database, and return its URL."""
    with maintenance(server) as connection:
        # it takes half the time of a copy by the log
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"))
    return server.replace("/postgres", f"/{name}")


def free_port() -> int:
    """Return a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running_postgres() -> Iterator[str]:
    """Run a server; yield its SQLAlchemy URL."""
    server = PostgresServer()
    try:
        server.start()
        try:
            yield server.url
        finally:
            server.stop()
    finally:
        server.remove()
