"""Long work on a claimed part shows that it is alive, so that a second run waits for it instead of taking it over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from pismo_lake.errors import LedgerError
from pismo_lake.renewal import renew_every

if TYPE_CHECKING:
    import logging
    from contextlib import AbstractContextManager

    from pismo_lake.ledger.builds import BuildLedger

BEAT_SECONDS = 2.0
QUIET_SECONDS = 5 * BEAT_SECONDS
_GLANCE_SECONDS = 0.2


def beating(builds: BuildLedger, part: int, token: str, log: logging.Logger) -> AbstractContextManager[None]:
    """Beat every two seconds for as long as the block runs; a killed process beats no more."""

    def beat() -> None:
        try:
            builds.beat(part, token)
        except (LedgerError, SQLAlchemyError) as error:
            # the next beat may get through; the claim itself is checked before each write
            log.warning("no heartbeat for part %d: %s", part, type(error).__name__)

    return renew_every(BEAT_SECONDS, beat, "heartbeat")


def wait_for_other(builds: BuildLedger, part: int, log: logging.Logger) -> bool:
    """Wait until a part is free or its builder has not beaten for ten seconds; say whether that took a wait.

    Only changes count, by this machine's own clock: clocks of several machines need not agree.
    """
    seen: tuple[str, int] | None = None
    since = time.monotonic()
    while True:
        record = builds.part(part)
        if record is None or record.claim is None:
            return seen is not None
        if (record.claim, record.beat) != seen:
            if seen is None or seen[0] != record.claim:
                log.info("another run is at work on part %d, waiting for it", part)
            seen, since = (record.claim, record.beat), time.monotonic()
        if time.monotonic() - since > QUIET_SECONDS:
            log.warning("the other run on part %d has been quiet for %.0f s, taking it over", part, QUIET_SECONDS)
            return True
        time.sleep(_GLANCE_SECONDS)
