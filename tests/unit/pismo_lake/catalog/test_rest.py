"""A rest catalog has the tables of a lake: with a token or a credential of a connection, and for several processes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.catalog import load_catalog
from tests.lakes import LakeUnderTest, at, event, key
from tests.rest_catalog import CLIENT, SECRET, TOKEN, WAREHOUSE, RestCatalog, running_rest_catalog

from pismo_lake.check.run import check_lake
from pismo_lake.errors import ConfigError
from pismo_lake.settings.tables import Catalog, CatalogType, Tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = "2026-03-01"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[RestCatalog]:
    with running_rest_catalog(tmp_path) as served:
        yield served


def tables_of(served: RestCatalog, **secrets: str) -> Tables:
    uri = f"http://127.0.0.1:{served.port}"
    return Tables(catalog=Catalog(CatalogType.REST, uri, warehouse=WAREHOUSE), secrets=secrets)


def read(served: RestCatalog, name: str) -> list[dict[str, Any]]:
    """Read a table as a reader does that knows the catalog alone."""
    uri = f"http://127.0.0.1:{served.port}"
    properties = {"token": TOKEN, "oauth2-server-uri": f"{uri}/v1/oauth/tokens", "warehouse": WAREHOUSE}
    return load_catalog("mine", type="rest", uri=uri, **properties).load_table(name).scan().to_arrow().to_pylist()


@pytest.mark.parametrize("secrets", [{"token": TOKEN}, {"credential": f"{CLIENT}:{SECRET}"}], ids=["token", "login"])
def test_a_lake_is_built_closed_and_checked_through_a_rest_catalog(
    tmp_path: Path, served: RestCatalog, secrets: dict[str, str]
) -> None:
    lake = LakeUnderTest(tmp_path, tables=tables_of(served, **secrets))
    lake.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) + b"{broken" for hour in (3, 4)})
    lake.build()
    lake.close(DAY)
    assert sorted(row["event_id"] for row in read(served, "pix.pix_in_1")) == ["e-3", "e-4"]
    assert len(read(served, "lake.rejects")) == 2
    assert check_lake(lake.settings, lake.ledger).findings == ()
    assert ("POST /v1/oauth/tokens" in served.requests) == ("credential" in secrets)
    # a table that somebody dropped is made anew
    served.catalog.drop_table("pix.pix_in_1")
    (finding,) = check_lake(lake.settings, lake.ledger, repair=True).findings
    assert finding.repaired
    assert sorted(row["event_id"] for row in read(served, "pix.pix_in_1")) == ["e-3", "e-4"]


def test_a_commit_that_comes_too_late_is_made_again(tmp_path: Path, served: RestCatalog) -> None:
    lake = LakeUnderTest(tmp_path, tables=tables_of(served, token=TOKEN))
    lake.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in (3, 4)})
    lake.build([f"{DAY}T03"])
    done = []

    def meanwhile(step: str) -> None:
        if step == "commit" and not done:
            done.append(step)
            with served.one_at_a_time, served.catalog.load_table("pix.pix_in_1").transaction() as other:
                other.set_properties({"of.another": "process"})

    lake.build([f"{DAY}T04"], checkpoint=meanwhile)
    assert done
    assert sorted(row["event_id"] for row in read(served, "pix.pix_in_1")) == ["e-3", "e-4"]


@pytest.mark.parametrize("secrets", [{"token": "another"}, {"credential": f"{CLIENT}:{SECRET[1:]}"}, {}])
def test_a_catalog_that_refuses_the_credentials_is_named(
    tmp_path: Path, served: RestCatalog, secrets: dict[str, str]
) -> None:
    lake = LakeUnderTest(tmp_path, tables=tables_of(served, **secrets))
    lake.land({key(3): event("e-3", timestamp=at(3))})
    with pytest.raises(ConfigError, match="refuses") as refused:
        lake.build()
    assert not any(secret in str(refused.value) for secret in secrets.values())
    # once, as nothing changes by itself
    assert len(served.requests) == 1
    lake.settings = replace(lake.settings, tables=tables_of(served, token=TOKEN))
    lake.build([f"{DAY}T03"])
    assert len(read(served, "pix.pix_in_1")) == 1
