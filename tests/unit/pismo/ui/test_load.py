"""Many pages at once do their work once, and leave the threads of Airflow's API alone."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from anyio import to_thread
from httpx import ASGITransport, AsyncClient
from tests.lakes import at, event, key
from tests.waiting import PATIENCE

from pismo.ui.cache import Cache
from pismo.ui.notices import NoticeCounts, Notices
from pismo_lake import state

if TYPE_CHECKING:
    from tests.unit.pismo.ui.conftest import Site

PAGES = 50


async def test_fifty_pages_at_once_take_one_look_and_no_thread_of_the_api(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, looks, slow = state.overview_of, [], threading.Event()

    def counted(*arguments: Any) -> Any:
        looks.append(1)
        assert slow.wait(PATIENCE)
        return real(*arguments)

    monkeypatch.setattr(state, "overview_of", counted)
    async with AsyncClient(transport=ASGITransport(site.app), base_url="http://lake") as client:
        asked = [asyncio.create_task(client.get("/deliveries/test")) for _ in range(PAGES)]
        # the API works in threads of this limiter: all of them become free while the look goes on
        async with asyncio.timeout(PATIENCE):
            while not looks or to_thread.current_default_thread_limiter().borrowed_tokens:
                await asyncio.sleep(0)
        assert await to_thread.run_sync(lambda: "the API answers") == "the API answers"
        slow.set()
        answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}
    assert len(looks) == 1


async def test_fifty_pages_at_once_are_answered_while_a_run_writes(site: Site) -> None:
    begun, enough = threading.Event(), threading.Event()

    def write() -> None:
        for number in count():
            hour = number % 9
            site.lake.put(event(f"new-{number}", timestamp=at(hour, 5)), key=key(hour, f"new-{number}", 5))
            site.lake.build()
            begun.set()
            if enough.is_set():
                return

    delivery = "/deliveries/test"
    kinds = ("", "/days/2026-03-05", "/days/2026-03-04", "/files", "/events?event_id=e-5", "/types")
    paths = [f"{delivery}{kinds[number % len(kinds)]}" for number in range(PAGES)]
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(write)
        try:
            assert await to_thread.run_sync(begun.wait, 60)
            async with AsyncClient(transport=ASGITransport(site.app), base_url="http://lake") as client:
                answers = await asyncio.gather(*(client.get(path) for path in paths))
            assert not run.done()
        finally:
            enough.set()
        run.result(60)
    assert {answer.status_code for answer in answers} == {200}
    assert to_thread.current_default_thread_limiter().borrowed_tokens == 0


def test_an_answer_lasts_until_the_ledger_changes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.reader, "_revisions", Cache(0.0, 10))
    assert "13:00" not in site.text("/deliveries/test/files")
    site.lake.put(event("new", timestamp=at(13, 5)), key=key(13, "new", 5))
    assert "2026-03-05 13:00" in site.text("/deliveries/test/files")


def test_a_cache_keeps_answers_for_a_time_and_no_errors() -> None:
    now = [0.0]
    cache, made = Cache(10.0, 2, lambda: now[0]), []

    def make() -> int:
        made.append(1)
        if len(made) == 1:
            msg = "the first one fails"
            raise ValueError(msg)
        return len(made)

    with pytest.raises(ValueError, match="first one"):
        cache.get("a", make)
    assert cache.get("a", make) == cache.get("a", make) == 2
    now[0] = 10.0
    assert cache.get("a", make) == 3
    assert [cache.get(key, make) for key in ("b", "c", "b")] == [4, 5, 4]
    assert cache.get("a", make) == 6


def test_all_who_ask_a_cache_at_once_get_one_answer() -> None:
    cache, begun, go = Cache(60.0, 5), threading.Event(), threading.Event()

    def make() -> object:
        begun.set()
        assert go.wait(60)
        return object()

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(cache.get, "a", make)
        assert begun.wait(60)
        others = [pool.submit(cache.get, "a", make) for _ in range(7)]
        go.set()
        assert {id(asked.result()) for asked in others} == {id(first.result())}


class WithQueue:
    """A delivery as far as the counts of notices see it."""

    def __init__(self, name: str = "d", queue: object = "queue") -> None:
        self.name, self.notices = name, queue


def test_a_slow_queue_does_not_hold_up_a_page() -> None:
    go = threading.Event()

    def ask(_: Any) -> Notices:
        assert go.wait(60)
        return Notices(7, 2)

    counts, delivery = NoticeCounts(ask, wait_seconds=0.0), WithQueue()
    assert counts.of(delivery) == Notices(problem="not known yet", dead_problem="not known yet")  # type: ignore[arg-type]
    go.set()
    asked = counts._asked["d"]
    assert asked.result(60) == counts.of(delivery) == Notices(7, 2)  # type: ignore[arg-type]


def test_a_queue_that_fails_is_unknown_with_its_reason() -> None:
    from pismo_lake.errors import SourceUnavailable

    def ask(_: Any) -> Notices:
        msg = "the queue does not answer"
        raise SourceUnavailable(msg)

    counts = NoticeCounts(ask, wait_seconds=60)
    reason = "the queue does not answer"
    assert counts.of(WithQueue()) == Notices(problem=reason, dead_problem=reason)  # type: ignore[arg-type]
    assert counts.of(WithQueue("none", None)) is None  # type: ignore[arg-type]
