"""Run works together, and end a loop with work in it."""

from __future__ import annotations

import asyncio

import pytest

from pismo.hooks.loop_thread import LoopThread, gather_or_cancel


async def return_value(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def fail_with(error: Exception) -> int:
    await asyncio.sleep(0)
    raise error


async def test_results_come_in_their_order() -> None:
    assert await gather_or_cancel(return_value(number) for number in range(5)) == [0, 1, 2, 3, 4]
    assert await gather_or_cancel([]) == []


async def test_the_first_error_ends_the_other_works_before_it_is_raised() -> None:
    ended: list[str] = []

    async def wait_for_ever() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            # a work may need some turns of the loop to end
            await asyncio.sleep(0)
            ended.append("waiting")
        return 0

    with pytest.raises(KeyError, match="first"):
        await gather_or_cancel([wait_for_ever(), fail_with(KeyError("first")), wait_for_ever()])
    assert ended == ["waiting", "waiting"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_work_ends_before_the_last_work_runs() -> None:
    loop, seen = LoopThread("test-loop"), list[str]()
    begun: list[asyncio.Task[None]] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("work")

    async def begin() -> None:
        begun.append(asyncio.create_task(work()))
        await asyncio.sleep(0)

    async def last() -> None:
        seen.append("last")

    loop.wait(begin())
    loop.close(last)
    assert seen == ["work", "last"]
    # a loop that never started has nothing to end
    LoopThread("idle").close(last)
    assert seen == ["work", "last"]
