"""Tell the files of a lake that the ledger knows from the others, and lock the ledger to remove one of the others.

A check lists files, and removes the unknown ones later. Meanwhile a run may have recorded one of them, because the same
raw files give the same paths again. So the ledger is asked once more, in a transaction that keeps other processes from
recording the file until it is removed.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import select

from pismo_lake import storage
from pismo_lake.hours import DAY_LENGTH
from pismo_lake.ledger.queries import lock_table
from pismo_lake.ledger.tables import builds, files, raw_files
from pismo_lake.paths import BUILD_ROOTS, split_output_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.ledger.engine import Ledger


class FileKnownError(Exception):
    """The ledger knows the file by now, so it must not be removed."""


@contextmanager
def lock_output(ledger: Ledger, lake: str, path: str) -> Iterator[None]:
    """Let a path below the lake be removed in the block, during which no build can plan it.

    Raises:
        FileKnownError: A build has recorded the path, has planned it, or is to remove it.
    """
    named = split_output_name(path.rsplit("/", 1)[-1])
    with ledger.transaction() as connection:
        lock_table(connection, builds)
        if named is not None:
            # a closed day takes over the outputs of its hours
            units = builds.c.unit.in_({named[1], named[1][:DAY_LENGTH]})
            query = select(builds.c.outputs, builds.c.superseded).where(builds.c.lake == lake, units)
            if any(path in paths for row in connection.execute(query) for paths in row):
                raise FileKnownError(path)
        yield


@contextmanager
def lock_index(ledger: Ledger, index_uri: str, raw_uri: str) -> Iterator[None]:
    """Let an index in landing be removed in the block, during which no process can record its raw file.

    Raises:
        FileKnownError: A lake has recorded the raw file, or the index.
    """
    with ledger.transaction() as connection:
        lock_table(connection, raw_files)
        known = (
            select(raw_files.c.name).where(raw_files.c.raw_uri == raw_uri),
            select(files.c.name).where((files.c.raw_uri == raw_uri) | (files.c.index_uri == index_uri)),
        )
        if any(connection.execute(query.limit(1)).first() for query in known):
            raise FileKnownError(index_uri)
        yield


def list_outputs(lake: str) -> Iterator[str]:
    """Yield the paths below the lake of all files in the folders for outputs, with any name."""
    for root in BUILD_ROOTS:
        for uri in storage.list_files(storage.join(lake, root)):
            yield f"{root}/" + uri.rsplit(f"/{root}/", 1)[-1]


def lake_outputs(lake: str) -> Iterator[str]:
    """Yield the paths below the lake of all files with a name of an output, of any delivery."""
    return (path for path in list_outputs(lake) if delivery_of(path) is not None)


def delivery_of(path: str) -> str | None:
    """Return the delivery, as a safe segment, in an output's name; None for any other name."""
    named = split_output_name(path.rsplit("/", 1)[-1])
    return named[0] if named else None


def known_outputs(ledger: Ledger, lake: str) -> set[str]:
    """Return the paths of all outputs in a ledger's builds of a lake.

    These are the outputs that builds have recorded, have planned, or are to remove.
    """
    query = select(builds.c.outputs, builds.c.superseded).where(builds.c.lake == lake)
    with ledger.engine.connect() as connection:
        return {path for row in connection.execute(query) for paths in row for path in paths}


def kept_outputs(ledger: Ledger, lake: str) -> set[str]:
    """Return the paths of files that are kept for older snapshots of tables: their rows are in other files."""
    query = select(builds.c.outputs, builds.c.superseded, builds.c.pending, builds.c.claim).where(builds.c.lake == lake)
    outputs, kept = set[str](), set[str]()
    with ledger.engine.connect() as connection:
        for row in connection.execute(query):
            outputs.update(row.outputs)
            kept.update(() if row.pending or row.claim else row.superseded)
    return kept - outputs


def recorded_deliveries(ledger: Ledger, lake: str) -> set[str]:
    """Return the deliveries of which a ledger has files of a lake, or builds."""
    with ledger.engine.connect() as connection:
        queries = (select(table.c.delivery).where(table.c.lake == lake).distinct() for table in (files, builds))
        return {name for query in queries for name in connection.execute(query).scalars()}
