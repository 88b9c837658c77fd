"""Forget old snapshots of a table, and remove the metadata that only they reached."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from pyiceberg.exceptions import CommitFailedException

from pismo_lake.catalog.iceberg.private import list_location

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyiceberg.io import FileIO
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

_MAIN = "main"
_UNDER_WAY = timedelta(days=1)


def expire_table(table: Table, hours: float | None) -> None:
    """Forget snapshots that another one replaced some hours ago; if `hours` is None, all but the present one.

    In the second case tags and branches are dropped first, because they keep a snapshot alive.
    """
    before, present = sorted(table.snapshots(), key=lambda one: one.timestamp_ms), table.current_snapshot()
    if hours is None:
        for name, ref in list(table.metadata.refs.items()):
            if name != _MAIN:
                manage = table.manage_snapshots()
                (manage.remove_tag if ref.snapshot_ref_type == "tag" else manage.remove_branch)(name).commit()
                table.refresh()
        old = [snapshot for snapshot in before if present is None or snapshot.snapshot_id != present.snapshot_id]
    else:
        limit = (datetime.now(UTC) - timedelta(hours=hours)).timestamp() * 1000
        old = [snapshot for snapshot, following in pairwise(before) if following.timestamp_ms < limit]
    kept = {ref.snapshot_id for ref in table.metadata.refs.values()}
    ids = [snapshot.snapshot_id for snapshot in old if snapshot.snapshot_id not in kept]
    if not ids:
        return
    try:
        table.maintenance.expire_snapshots().by_ids(ids).commit()
    except ValueError as error:
        # pyiceberg's own words are "Snapshot with snapshot id … does not exist"
        msg = "another process has forgotten a snapshot"
        raise CommitFailedException(msg) from error
    table.refresh()
    left = _reached(table.snapshots(), table.io)
    # a commit that is under way names manifests of the present snapshot only
    _delete(_reached((snapshot for snapshot in before if snapshot.snapshot_id in ids), table.io) - left, table.io)


def sweep_table(table: Table) -> None:
    """Remove metadata that no snapshot reaches: a process that was killed in its commit has left it.

    A file that is younger than a day may belong to a commit that is under way.
    """
    metadata = table.metadata
    known = {table.metadata_location, *(snapshot.manifest_list for snapshot in metadata.snapshots)}
    known |= {entry.metadata_file for entry in metadata.metadata_log}
    known |= {entry.statistics_path for entry in metadata.statistics}
    limit = datetime.now(UTC) - _UNDER_WAY
    listed = list_location(table.io, f"{table.location()}/metadata")
    left = {uri for uri, changed in listed if changed < limit} - known
    for snapshot in sorted(metadata.snapshots, key=lambda one: one.timestamp_ms, reverse=True):
        if not left:
            return
        left -= _reached([snapshot], table.io)
    _delete(left, table.io)


def _delete(uris: Iterable[str], io: FileIO) -> None:
    for uri in uris:
        # another process may sweep too
        with suppress(FileNotFoundError):
            io.delete(uri)


def _reached(snapshots: Iterable[Snapshot], io: FileIO) -> set[str]:
    """Return the manifest lists of some snapshots, and their manifests; leave out those that are gone already."""
    found = set[str]()
    for snapshot in snapshots:
        try:
            manifests = snapshot.manifests(io)
        except FileNotFoundError:
            continue
        found |= {snapshot.manifest_list, *(manifest.manifest_path for manifest in manifests)}
    return found
