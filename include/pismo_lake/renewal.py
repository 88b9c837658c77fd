"""Renew a lease or a claim at intervals while other work runs."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def renew_every(seconds: float, renew: Callable[[], None], name: str) -> Iterator[None]:
    """Call `renew` every `seconds` in a thread named `name`, while the block runs.

    If the process is killed, the renewing ends with it. `renew` must handle its own errors: an error that it raises
    ends the renewing.
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
