"""A folder served over SFTP, and hooks that read it: for tests of the SFTP channel."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.lakes import ORG

from pismo.hooks.sftp import PismoSFTPHook
from pismo_lake.hours import PublishHour
from pismo_lake.landing.remote_file import RemoteFile
from pismo_lake.settings.channels import Channel, Environment, SftpSource
from pismo_lake.settings.deliveries import Delivery
from pismo_sandbox.sftp.server import SftpPolicy, running_sftp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

HOUR = PublishHour.parse("2026-03-01T09")
FOLDER = "main_stream/2026/3/1/9"
KEY = f"{FOLDER}/a"


def sftp_delivery(environment: Environment = Environment.SANDBOX, **source: Any) -> Delivery:
    """Return a delivery over SFTP whose connection is ``pismo``."""
    return Delivery(
        name="sftp_test", organisation=ORG, environment=environment, channel=Channel.SFTP, conn_id="pismo",
        landing="no-landing", lake="no-lake", ledger_url="sqlite://", source=SftpSource(**source),
    )  # fmt: skip


def fetched(hook: PismoSFTPHook, key: str = KEY, size: int | None = None) -> bytes:
    """Fetch a file as landing does."""
    with hook.fetch(RemoteFile(key, size)) as chunks:
        return b"".join(chunks)


@dataclass
class SftpFeed:
    """A folder, the server of it with its dials, and the hooks made for it."""

    root: Path
    policy: SftpPolicy
    connection: dict[str, Any]
    monkeypatch: pytest.MonkeyPatch
    hooks: list[PismoSFTPHook] = field(default_factory=list)

    def put(self, name: str = "a", body: bytes = b"{}", folder: str = FOLDER) -> bytes:
        """Write a file below the root."""
        path = self.root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return body

    def hook(self, **source: Any) -> PismoSFTPHook:
        """Make a hook with these settings of the source."""
        self.monkeypatch.setenv("AIRFLOW_CONN_PISMO", json.dumps(self.connection))
        settings = {"stall_seconds": 20.0, "connect_seconds": 20.0} | source
        self.hooks.append(PismoSFTPHook(sftp_delivery(**settings)))
        return self.hooks[-1]

    def listed(self, **source: Any) -> dict[str, int | None]:
        """List the hour: names below its folder, with sizes."""
        files = self.hook(**source).list_files([HOUR])
        return {file.key.removeprefix(f"{FOLDER}/"): file.size for file in files}

    def close(self) -> None:
        """Close the hooks."""
        for hook in self.hooks:
            hook.close()


@contextmanager
def sftp_feed(root: Path, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[SftpFeed]:
    """Serve a folder by the sandbox's own server; `pair` is a private key and its public line."""
    policy = SftpPolicy([pair[1]])
    with running_sftp(root, policy) as server:
        extra = {"private_key": pair[0], "host_key": server.host_key}
        connection = {"conn_type": "sftp", "host": server.host, "port": server.port, "login": "pismo", "extra": extra}
        feed = SftpFeed(root, policy, connection, monkeypatch)
        try:
            yield feed
        finally:
            feed.close()
