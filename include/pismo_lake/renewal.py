"""Renew something at intervals while other work runs: a lease of messages, a claim on a part."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def renew_every(seconds: float, renew: Callable[[], None], name: str) -> Iterator[None]:
    """Call `renew` every so many seconds, in a thread of this name, for as long as the block runs.

    A killed process renews no more. `renew` handles its own errors: one that leaves it ends the renewing.
    """
    over = threading.Event()

    def run() -> None:
        while not over.wait(seconds):
            renew()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
