"""Define the command `status`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pismo_lake.cli.command import OpenLake, command
from pismo_lake.cli.output import Size, print_json, print_table
from pismo_lake.html.words import minutes_text

if TYPE_CHECKING:
    from datetime import timedelta


@command("status", json=True)
def status(
    lake: OpenLake,
    days: Annotated[int, typer.Option("--days", metavar="N", min=1, max=366, help="Show the last N days.")] = 7,
    prometheus: Annotated[bool, typer.Option("--prometheus", help="Print metrics for Prometheus.")] = False,
) -> int:
    """Show each delivery: newest publish hour, lag, waiting files, verdicts on its last days.

    Files wait if they are landed and not yet built. A day is open until it is over and closed. Verdicts are those of
    the day reports; `report` judges a day again.
    """
    from pismo_lake.report.status import lake_status

    now = datetime.now(UTC)
    found = lake_status(lake.settings, lake.ledger, now, days)
    if prometheus:
        from pismo_lake.report.prometheus import prometheus_text

        print(prometheus_text(found, lake.ledger, lake.settings.lake, now), end="")
        return 0
    if lake.json:
        document = {"lake": lake.settings.lake, "at": now.isoformat(timespec="seconds")}
        print_json(document | {"deliveries": [one.to_json() for one in found]})
        return 0
    print_table(
        ("delivery", "newest hour", "lag", "files", "waiting", "size waiting", "not landed"),
        [
            (
                one.state.delivery, one.state.newest_hour, duration_text(one.lag), one.state.files,
                one.state.waiting_files, Size(one.state.waiting_bytes), one.state.not_landed,
            )
            for one in found
        ],
    )  # fmt: skip
    print()
    print_table(
        ("day", "delivery", "verdict", "files", "size", "reasons"),
        [
            (day.publish_date, one.state.delivery, day.verdict, day.files, Size(day.bytes), "; ".join(day.reasons))
            for one in found
            for day in one.days
        ],
    )
    return 0


def duration_text(lag: timedelta | None) -> str:
    """Return a duration in its two largest units.

    >>> from datetime import timedelta
    >>> duration_text(timedelta(hours=3, minutes=5)), duration_text(timedelta(days=2, minutes=1))
    ('3 h 5 min', '2 d 0 h')
    """
    if lag is None:
        return ""
    # the lag can be negative: clocks differ, and the folder of an hour may exist before the hour begins
    return minutes_text(max(int(lag.total_seconds()), 0) // 60)
