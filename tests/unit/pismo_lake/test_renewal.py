"""Something is renewed while work runs, and no longer."""

from __future__ import annotations

import threading

import pytest

from pismo_lake.renewal import renew_every


def test_it_is_renewed_again_and_again_while_the_block_runs() -> None:
    third = threading.Event()
    calls: list[str] = []

    def renew() -> None:
        calls.append(threading.current_thread().name)
        if len(calls) == 3:
            third.set()

    with renew_every(0.001, renew, "lease"):
        assert third.wait(60)
    assert set(calls) == {"lease"}
    assert "lease" not in {thread.name for thread in threading.enumerate()}


def test_it_ends_with_a_block_that_fails() -> None:
    with pytest.raises(KeyError), renew_every(3600, lambda: None, "lease"):
        raise KeyError
    assert "lease" not in {thread.name for thread in threading.enumerate()}
