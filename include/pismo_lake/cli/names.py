"""Answer a name that does not exist (event type, domain, delivery, day) with those that do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pismo_lake.errors import ConfigError
from pismo_lake.spelling import list_in_words

if TYPE_CHECKING:
    from pismo_lake.cli.command import OpenLake
    from pismo_lake.contracts.store import ContractStore


def event_type(store: ContractStore, event: str) -> tuple[str, str]:
    """Return domain and name of an event type.

    Raises:
        ConfigError: the lake has no event type of this name.
    """
    domain, _, name = event.partition("/")
    known = store.names()
    if (domain, name) not in known:
        has = list_in_words(event, [f"{one}/{other}" for one, other in known])
        msg = f"{event} is no event type of this lake{has and f': there are {has}'}"
        raise ConfigError(msg)
    return domain, name


def hint_days(lake: OpenLake, day: str) -> None:
    """Print the days that have files on stderr, the closest first."""
    from pismo_lake.hours import PublishDay
    from pismo_lake.ledger.state import publish_days
    from pismo_lake.spelling import SHOWN

    wanted = PublishDay.parse(day).start
    found = publish_days(lake.ledger, lake.settings.lake, lake.settings.delivery)
    found.sort(key=lambda known: abs(PublishDay.parse(known).start - wanted))
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        print(f"no landed file is of {day}; days with files: {', '.join(found[:SHOWN])}{more}", file=sys.stderr)
