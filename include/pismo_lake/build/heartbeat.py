"""Long work on a claimed part shows that it is alive, so that a second run waits for it instead of taking it over."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from pismo_lake.errors import LedgerError

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    from pismo_lake.ledger.builds import BuildLedger

BEAT_SECONDS = 2.0
QUIET_SECONDS = 5 * BEAT_SECONDS
_GLANCE_SECONDS = 0.2


@contextmanager
def beating(builds: BuildLedger, part: int, token: str, log: logging.Logger) -> Iterator[None]:
    """Beat every two seconds as long as the block runs; a killed process beats no more."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_SECONDS):
            try:
                builds.beat(part, token)
            except (LedgerError, SQLAlchemyError) as error:
                # the next beat may get through; the claim itself is checked where it counts
                log.warning("no heartbeat for part %d: %s", part, type(error).__name__)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def wait_for_other(builds: BuildLedger, part: int, log: logging.Logger) -> None:
    """Return once nobody is at work on a part: it is free, or its builder has not beaten for ten seconds.

    Only changes count, by this machine's own clock: clocks of several machines need not agree.
    """
    seen: tuple[str, int] | None = None
    since = time.monotonic()
    while True:
        record = builds.part(part)
        if record is None or record.claim is None:
            return
        if (record.claim, record.beat) != seen:
            if seen is None or seen[0] != record.claim:
                log.info("another run is at work on part %d, waiting for it", part)
            seen, since = (record.claim, record.beat), time.monotonic()
        if time.monotonic() - since > QUIET_SECONDS:
            log.warning("the other run on part %d has been quiet for %.0f s, taking it over", part, QUIET_SECONDS)
            return
        time.sleep(_GLANCE_SECONDS)
