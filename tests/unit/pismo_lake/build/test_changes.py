"""What a run or a day changed fits into a message, whatever the events are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.lakes import HOUR, event, key

from pismo_lake.build.changes import MOST_NAMES, changes_of_day, changes_of_run
from pismo_lake.hours import PublishDay

if TYPE_CHECKING:
    from tests.lakes import LakeUnderTest


def test_a_run_names_its_own_parts(lake: LakeUnderTest) -> None:
    lake.ledger.run = "one"
    lake.put(event("e-1"), event("e-1"), event("e-2", domain="cards", timestamp="2026-02-27T10:00:00Z"))
    lake.ledger.run = "two"
    lake.land({key(13): event("e-3")})
    lake.build()
    one, two = (changes_of_run(lake.settings, lake.ledger, run) for run in ("one", "two"))
    assert (one.units, one.tables) == (("2026-03-01T12",), {"cards/pix_in-1": 1, "pix/pix_in-1": 1})
    assert (one.dates, one.files, one.events, one.rows) == (("2026-02-27", "2026-03-01"), 1, 3, 2)
    assert (two.units, two.rows) == (("2026-03-01T13",), 1)
    assert changes_of_run(lake.settings, lake.ledger, "three").units == ()
    # an unchanged hour is not written again
    lake.ledger.run = "four"
    lake.build(["2026-03-01T12"])
    assert changes_of_run(lake.settings, lake.ledger, "four").units == ()


def test_a_closed_day_has_all_its_dates(lake: LakeUnderTest) -> None:
    lake.put(event("e-1"), event("e-2", timestamp="2026-02-28T23:00:00Z"))
    lake.close("2026-03-01")
    day = changes_of_day(lake.settings, lake.ledger, PublishDay.parse("2026-03-01"))
    assert (day.units, day.dates, day.rows) == (("2026-03-01",), ("2026-02-28", "2026-03-01"), 2)
    assert changes_of_day(lake.settings, lake.ledger, PublishDay.parse("2026-03-02")).units == ()


def test_a_message_stays_small(lake: LakeUnderTest) -> None:
    events = [
        event(f"e-{n}", event_type=f"type_{n}", timestamp=f"20{n % 60 + 10}-01-{n % 28 + 1:02}T00:00:00Z")
        for n in range(MOST_NAMES + 20)
    ]
    lake.ledger.run = "many"
    lake.land({f"{HOUR}/a": b"".join(events)})
    lake.build()
    changes = changes_of_run(lake.settings, lake.ledger, "many")
    message = changes.to_json()
    assert len(message["tables"]) == MOST_NAMES
    assert message["left_out"]["tables"] == 20
    assert message["rows"] == MOST_NAMES + 20
    assert len(json.dumps(message)) < 10_000
