"""The doorbell rings steadily while messages are taken, and ever more rarely if not."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pismo.triggers import notices_waiting
from pismo.triggers.notices_waiting import NoticesWaitingTrigger
from pismo_lake.settings.channels import NoticeChannel, Notices

POLL = 15.0


async def pauses_of(
    looks: list[tuple[int, dict[str, int] | None]], monkeypatch: pytest.MonkeyPatch, poll: float = POLL
) -> list[float]:
    """Return the seconds that it waits after each of these looks."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == len(looks):
            raise asyncio.CancelledError

    monkeypatch.setattr(notices_waiting.asyncio, "sleep", sleep)
    bell = NoticesWaitingTrigger("deliveries.yaml", "any", poll)
    script = iter(looks)
    monkeypatch.setattr(bell, "_look", lambda: next(script))
    rings = 0
    try:
        async for _ in bell.run():
            rings += 1
    except asyncio.CancelledError:
        assert rings == sum(1 for waiting, _ in looks if waiting)
    return pauses


def test_a_feed_that_is_taken_has_a_steady_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something waits at each look, though each time it is something else."""
    busy = [(2, {"2026-03-01T10": landed}) for landed in range(8)]
    assert asyncio.run(pauses_of(list(busy), monkeypatch)) == [POLL] * 8


def test_a_bell_that_nobody_answers_rings_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    ignored = [(3, {"2026-03-01T10": 7})] * 7
    assert asyncio.run(pauses_of(list(ignored), monkeypatch)) == [15, 30, 60, 120, 240, 300, 300]


def test_it_starts_again_once_all_is_taken_or_something_is(monkeypatch: pytest.MonkeyPatch) -> None:
    hour = "2026-03-01T10"
    looks: list[tuple[int, dict[str, int] | None]] = [
        (1, {hour: 1}), (1, {hour: 1}), (1, {hour: 1}), (0, None), (1, {hour: 4}), (1, {hour: 4}), (1, {hour: 5}),
    ]  # fmt: skip
    assert asyncio.run(pauses_of(looks, monkeypatch)) == [15, 30, 60, 15, 15, 30, 15]


def test_after_a_ring_it_leaves_time_for_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second ring would make a run that finds no work, and the next file would wait for its end."""
    hour = "2026-03-01T10"
    looks: list[tuple[int, dict[str, int] | None]] = [
        (0, None),
        (1, {hour: 1}),
        (0, None),
        (1, {hour: 2}),
        (1, {hour: 2}),
    ]
    assert asyncio.run(pauses_of(looks, monkeypatch, 2.0)) == [2, 8, 2, 8, 16]


@pytest.mark.parametrize(
    ("channel", "queue", "seconds"), [("sqs", "url", 1.0), ("pubsub", "projects/p/subscriptions/s", 15.0)]
)
def test_pub_sub_is_looked_at_less_often_since_a_look_lists_folders(channel: str, queue: str, seconds: float) -> None:
    notices = Notices(NoticeChannel(channel), queue, "pismo")
    assert notices.pause_seconds == seconds
    assert replace(notices, poll_seconds=7.0).pause_seconds == 7
