"""Threads in parallel give each item a result or an error; a fatal error ends the work."""

from __future__ import annotations

import threading

import pytest

from pismo_lake.landing.pool import Crew


def test_every_item_has_its_result_or_its_error() -> None:
    def half(number: int) -> int:
        if number % 2:
            msg = f"{number} is odd"
            raise ValueError(msg)
        return number // 2

    with Crew(half, range(1000), 8, fatal=lambda _: False) as crew:
        came = dict(crew.results())
    assert sorted(came) == list(range(1000))
    assert all(came[number] == number // 2 for number in range(0, 1000, 2))
    assert all(str(came[number]) == f"{number} is odd" for number in range(1, 1000, 2))


def test_no_more_are_at_work_than_there_are_threads() -> None:
    lock, together, most = threading.Lock(), 0, 0
    meeting = threading.Barrier(3)

    def work(_: int) -> None:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        meeting.wait()
        with lock:
            together -= 1

    with Crew(work, range(30), 3, fatal=lambda _: False) as crew:
        assert len(list(crew.results())) == 30
    assert most == 3


@pytest.mark.parametrize("error", [ValueError("for all"), KeyboardInterrupt(), SystemExit(1)])
def test_a_fatal_error_ends_the_work(error: BaseException) -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        raise error

    with Crew(work, range(1000), 2, fatal=lambda _: True) as crew:
        assert next(crew.results())[1] is error
    assert len(begun) <= 2


def test_no_items_are_no_work() -> None:
    with Crew(abs, [], 4, fatal=lambda _: True) as crew:
        assert list(crew.results()) == []
