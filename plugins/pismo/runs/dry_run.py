"""Log the files that a run would land, build and remove, and change nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pismo.connect.ledger import settings_of
from pismo_lake.build.plan import plan_units
from pismo_lake.hours import PublishHour
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.raw_files import RawLedger

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Sequence, Set

    from pismo.runs.find import Found
    from pismo_lake.landing.remote_file import RemoteFile
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery

_SHOWN = 200


def log_plan(
    delivery: Delivery, ledger: Ledger, found: Found, units: Iterable[str], *, force: bool, log: logging.Logger
) -> None:
    """Log the files to land, and the parts to build with the files that they replace.

    The files that this plan lands count as not landed yet.
    """
    log.info("DRY RUN: nothing is landed, built or removed")
    if found.unlisted is not None:
        log.info("nothing was listed: %s", found.unlisted)
    if found.notices:
        log.info("about %d notice(s) are waiting; they stay unread in their queue", found.notices)
    _log_files(found.files, log)
    raws = Counter(file.publish_hour for file in RawLedger(ledger, delivery.lake, delivery.name).list_waiting())
    for of_hour, count in sorted(raws.items()):
        log.info("index: %s: %d landed file(s)", of_hour, count)
    joined = {str(hour) for file in found.files if (hour := PublishHour.of_key(file.key))}
    wanted = sorted({*units, *FileLedger(ledger, delivery.lake, delivery.name).units_of_hours(joined), *joined})
    plans = plan_units(settings_of(delivery), ledger, wanted, force=force)
    planned = {plan.unit for plan in plans}
    for plan in plans:
        joins = " (without the files above)" if plan.unit in joined or _day_joined(plan.unit, joined) else ""
        log.info("build: %s%s", plan, joins)
        for path in plan.replaces if plan.state != "unchanged" else ():
            log.info("  replace: %s", path)
    for unit in wanted:
        if unit not in planned:
            arrived = joined | raws.keys()
            fresh = unit in arrived or _day_joined(unit, arrived)
            log.info("build: %s: %s", unit, "new, with the files above" if fresh else "has no files")


def _day_joined(unit: str, hours: Set[str]) -> bool:
    """Return whether one of the hours is of the day `unit`."""
    return any(hour.startswith(f"{unit}T") for hour in hours)


def _log_files(files: Sequence[RemoteFile], log: logging.Logger) -> None:
    log.info("land: %d file(s), %.1f MB", len(files), sum(file.size or 0 for file in files) / 1e6)
    for file in files[:_SHOWN]:
        log.info("  land: %s (%s bytes)", file.key, "?" if file.size is None else file.size)
    if len(files) > _SHOWN:
        log.info("  and %d more", len(files) - _SHOWN)
