"""Check listing and reading, for every channel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from pismo.checks.check import Check, State, attempt, skip
from pismo_lake.errors import KmsDenied, ListingDenied
from pismo_lake.hours import hours_between
from pismo_lake.landing.remote_file import RemoteFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo.connect.source import EventSource
    from pismo_lake.settings.deliveries import Delivery

_HOURS = timedelta(hours=6)
_ENOUGH = 1000


def examine_reading(source: EventSource, delivery: Delivery, key: str | None, rights: str) -> Iterator[Check]:
    """List the last hours, then read one event file: the last one listed, or else `key`."""
    now = datetime.now(UTC)
    found: list[RemoteFile] = []

    def list_last_hours() -> str:
        found.extend(islice(source.list_files(hours_between(now - _HOURS, now)), _ENOUGH))
        return f"{len(found)} event file(s) in the last six hours" + (", at least" if len(found) == _ENOUGH else "")

    if delivery.listing:
        optional = (ListingDenied,) if delivery.notices is not None else ()
        advice = "notices announce new files" if optional else "ask Pismo for it, or set up notices"
        listing = attempt("listing", list_last_hours, advice, optional)
        if listing.state is State.OPTIONAL or "ListBucket" not in listing.seen:
            yield listing
        else:
            # the delivery works without it, but only for keys given by hand
            yield Check("listing", State.FAIL, listing.seen, advice)
    else:
        yield Check("listing", State.OPTIONAL, "switched off in the delivery")
    # with its listed size, so that the read fails if the size is wrong
    newest = found[-1] if found else RemoteFile(key, None) if key else None
    if newest is None:
        yield from skip("reading an event file", because="no known file; give one with --key")
        return

    def read() -> str:
        with source.fetch(newest) as chunks:
            count = len(next(iter(chunks), b""))
        return f"{newest.key}: readable" if count else f"{newest.key}: readable and empty"

    reading = attempt("reading an event file", read, rights)
    yield reading
    if reading.state is State.FAIL and "kms" in reading.seen.lower():
        yield Check(
            "use of the KMS key", State.FAIL, KmsDenied.__name__, "ask Pismo for kms:Decrypt on the bucket's key"
        )
