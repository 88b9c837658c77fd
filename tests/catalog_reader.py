"""Read a lake's tables as any reader does: with pyiceberg, through the catalog."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyiceberg.catalog import load_catalog

from pismo_lake.catalog.iceberg.connect import NAME, default_uri
from pismo_sandbox.check.verify import Verification, check_row, with_payloads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from tests.lakes import LakeUnderTest

    from pismo_sandbox.check.truth import Truth


@contextmanager
def open_reader(ledger_url: str) -> Iterator[Catalog]:
    """Open the sql catalog beside a ledger."""
    catalog = load_catalog(NAME, type="sql", uri=default_uri(ledger_url))
    try:
        yield catalog
    finally:
        catalog.close()


def url_of(lake: LakeUnderTest) -> str:
    """Return the URL of a lake's ledger."""
    return lake.ledger.engine.url.render_as_string(hide_password=False)


@contextmanager
def open_table(lake: LakeUnderTest, name: str = "pix.pix_in_1") -> Iterator[Table]:
    """Load a table of a lake."""
    with open_reader(url_of(lake)) as catalog:
        yield catalog.load_table(name)


def table_names(lake: LakeUnderTest) -> list[str]:
    """Return the names of all tables."""
    with open_reader(url_of(lake)) as catalog:
        return sorted(".".join(name) for space in catalog.list_namespaces() for name in catalog.list_tables(space))


def table_rows(lake: LakeUnderTest, name: str = "pix.pix_in_1") -> list[dict[str, Any]]:
    """Return the rows of a table."""
    with open_table(lake, name) as table:
        return table.scan().to_arrow().to_pylist()


def table_files(lake: LakeUnderTest, name: str = "pix.pix_in_1") -> list[str]:
    """Return the names of a table's files; a file that is listed twice is there twice."""
    with open_table(lake, name) as table:
        return sorted(task.file.file_path.rsplit("/", 1)[-1] for task in table.scan().plan_files())


def snapshots(lake: LakeUnderTest, name: str = "pix.pix_in_1") -> int:
    """Return the number of commits of a table."""
    with open_table(lake, name) as table:
        return len(table.history())


def event_ids(lake: LakeUnderTest, name: str = "pix.pix_in_1") -> list[str]:
    """Return the ids of a table's events, sorted; a doubled row is there twice."""
    return sorted(row["event_id"] for row in table_rows(lake, name))


def verify_tables(catalog: Catalog, truth: Truth) -> list[str]:
    """Compare every event in a catalog, and every value of its payload, with the published ones; return problems."""
    found = Verification()
    expected = {(org, event_id): (key, offset, payload) for org, event_id, key, offset, payload in truth.winners()}
    seen: set[tuple[str, str]] = set()
    for space in catalog.list_namespaces():
        if space != ("lake",):
            for name in catalog.list_tables(space):
                for row, payload in with_payloads(catalog.load_table(name).scan().to_arrow()):
                    check_row(row, payload, expected, seen, found)
    missing = [f"lost: {event_id}" for _, event_id in expected.keys() - seen]
    return found.problems + missing
