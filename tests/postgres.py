"""A PostgreSQL server of a test's own: Debian's, in a new cluster, on a Unix socket and a free port."""

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

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER_USER = "postgres"


def find_binaries() -> Path:
    """Where initdb and pg_ctl are; the test is skipped where they are not, which `scripts/postgresql` mends."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed: run scripts/postgresql as root")
    return found[-1].parent


@contextmanager
def running_postgres() -> Iterator[str]:
    """A server with user `ledger` without a password, reached from this machine alone; yields its SQLAlchemy URL."""
    binaries = find_binaries()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = Path(tempfile.mkdtemp(prefix="pismo-pg-"))
    as_server: dict[str, Any] = {}
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root
        user = pwd.getpwnam(SERVER_USER)
        os.chown(root, user.pw_uid, user.pw_gid)
        as_server = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    as_server |= {"check": True, "stdout": subprocess.DEVNULL, "cwd": root}
    try:
        subprocess.run([binaries / "initdb", "-D", root / "data", "-U", "ledger", "-A", "trust", "-E", "UTF8",
                        "--no-sync"], **as_server)  # fmt: skip
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={root} -c max_connections=60"
        control = [binaries / "pg_ctl", "-D", root / "data", "-w"]
        subprocess.run([*control, "-o", options, "-l", root / "log", "start"], **as_server)
        try:
            yield f"postgresql+psycopg://ledger@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **as_server)
    finally:
        shutil.rmtree(root, ignore_errors=True)
