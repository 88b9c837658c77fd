"""Leave no connection and no request behind: after a failed listing, and after the end of a hook."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.sftp_feed import FOLDER, HOUR, SftpFeed, sftp_feed
from tests.waiting import until

from pismo_lake.errors import AccessDenied
from pismo_sandbox.sftp.server import rsa_key_pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import asyncssh

    from pismo.hooks.sftp_session import Session

pytestmark = pytest.mark.integration


@pytest.fixture
def feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SftpFeed]:
    with sftp_feed(tmp_path / "served", rsa_key_pair(), monkeypatch) as feed:
        yield feed


async def count_ours() -> int:
    """Return how many tasks of the plugin run in this loop."""
    files = [task.get_coro().cr_code.co_filename for task in asyncio.all_tasks()]  # type: ignore[union-attr]
    return len([file for file in files if "/plugins/pismo/" in file])


def test_a_refused_folder_ends_the_listing_of_the_others(feed: SftpFeed) -> None:
    slow = HOUR.plus(1)
    feed.put("a")
    feed.put("a", folder="main_stream/2026/3/1/10")
    feed.policy.denied.add(FOLDER)
    feed.policy.denied.add("main_stream/2026/3/1")
    feed.policy.listing_delay = 0.2
    hook = feed.hook()
    with pytest.raises(AccessDenied):
        list(hook.list_files([HOUR, slow]))
    assert hook.run(count_ours()) == 0


def test_closing_ends_a_connection_that_opens_meanwhile(feed: SftpFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    feed.put("a")
    hook = feed.hook()
    made: list[asyncssh.SSHClientConnection] = []
    tasks: list[asyncio.Task[None]] = []
    connect, close_sessions, gate = hook.connect_with, hook._close_sessions, asyncio.Event()

    async def connect_late(key: asyncssh.SSHKey) -> asyncssh.SSHClientConnection:
        await gate.wait()
        made.append(await connect(key))
        return made[-1]

    async def close_then_open() -> None:
        await close_sessions()
        gate.set()
        # without a cancellation, the work has a session now
        await asyncio.wait(tasks, timeout=5)

    async def work(session: Session) -> None:
        await asyncio.Event().wait()

    async def begin() -> None:
        tasks.append(asyncio.create_task(hook.persist(work, "a")))
        await asyncio.sleep(0)

    monkeypatch.setattr(hook, "connect_with", connect_late)
    monkeypatch.setattr(hook, "_close_sessions", close_then_open)
    hook.run(begin())
    hook.close()
    assert all(connection.is_closed() for connection in made)
    until(lambda: feed.policy.connections == 0)
