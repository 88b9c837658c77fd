"""A ledger made by an earlier version: what may be null is added, what may not is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, inspect, text
from tests.lakes import LakeUnderTest, event

from pismo_lake.errors import LedgerError
from pismo_lake.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path


def altered(root: Path, statement: str) -> str:
    """The URL of a ledger that a statement made older than it is."""
    url = f"sqlite:///{root / 'ledger.db'}"
    Ledger.open(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()
    return url


def test_a_column_that_may_be_null_is_added(tmp_path: Path) -> None:
    url = altered(tmp_path, "ALTER TABLE pismo_contract_changes DROP COLUMN first_offset")
    ledger = Ledger.open(url)
    columns = {column["name"] for column in inspect(ledger.engine).get_columns("pismo_contract_changes")}
    ledger.close()
    assert "first_offset" in columns
    lake = LakeUnderTest(tmp_path)
    lake.put(event("e-1", {"n": 1}))
    lake.ledger.close()


def test_a_column_that_may_not_is_told(tmp_path: Path) -> None:
    url = altered(tmp_path, "ALTER TABLE pismo_files DROP COLUMN touched")
    with pytest.raises(LedgerError, match="pismo_files has no touched: rebuild it"):
        Ledger.open(url)
