"""Show that the work on a claimed part continues, so that a second run waits for it."""

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


def beat_while(builds: BuildLedger, part: int, token: str, log: logging.Logger) -> AbstractContextManager[None]:
    """Beat every two seconds while the block runs; the beats of a killed process end."""

    def beat() -> None:
        try:
            builds.beat(part, token)
        except (LedgerError, SQLAlchemyError) as error:
            # the next beat may succeed; the claim itself is checked before each write
            log.warning("no heartbeat for part %d: %s", part, type(error).__name__)

    return renew_every(BEAT_SECONDS, beat, "heartbeat")


def wait_for_other(builds: BuildLedger, part: int, log: logging.Logger) -> bool:
    """Wait until a part is free, or its builder has not beaten for ten seconds.

    Return whether it had to wait. Only changes count, by this machine's own clock: clocks of several machines may
    differ.
    """
    seen: tuple[str, int] | None = None
    since = time.monotonic()
    while True:
        record = builds.part(part)
        if record is None or record.claim is None:
            return seen is not None
        if (record.claim, record.beat) != seen:
            if seen is None or seen[0] != record.claim:
                log.info("another run builds part %d, waiting for it", part)
            seen, since = (record.claim, record.beat), time.monotonic()
        if time.monotonic() - since > QUIET_SECONDS:
            log.warning("the other run on part %d has been quiet for %.0f s, taking it over", part, QUIET_SECONDS)
            return True
        time.sleep(_GLANCE_SECONDS)
