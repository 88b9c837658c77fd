"""A name that does not exist is answered with those that do, the closest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.lakes import event

from pismo_lake.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def two_types(lake: str, tmp_path: Path) -> str:
    """Add an event type of another domain, on another day."""
    path = tmp_path / "more" / "main_stream/2026/3/5/1" / "a"
    path.parent.mkdir(parents=True)
    path.write_bytes(event("a-1", {"amount": 3}, domain="account", event_type="opened"))
    assert main(["flatten", str(tmp_path / "more"), "--lake", lake]) == 0
    return lake


UNKNOWN = {
    "contracts show pix/pix_on-1": (1, "there are pix/pix_in-1, account/opened-1"),
    "contracts diff account/open-1": (1, "there are account/opened-1, pix/pix_in-1"),
    "contracts adopt nothing": (1, "is no event type of this lake: there are "),
    "ddl --dialect duckdb --domain acount": (1, "there are account, pix"),
    "contracts dictionary --domain acount": (1, "there are account, pix"),
    "erase --where data__acount_id=1 --dry-run": (1, "data__acount_id (like data__acount_id: data__account_id, "),
    "files --delivery lokal": (1, "it knows local"),
    "report --date 2026-03-04": (0, "no landed file is of 2026-03-04; days with files: 2026-03-05, 2026-03-01"),
    "close --date 2026-02-27": (0, "days with files: 2026-03-01, 2026-03-05"),
    "files --date 2026-03-02": (0, "days with files: 2026-03-01, 2026-03-05"),
    "contracts check --date 2026-03-02": (0, "days with files: 2026-03-01, 2026-03-05"),
    "files --forget main_stream/2026/3/5/1/b": (1, "did you mean main_stream/2026/3/5/1/a"),
}


@pytest.mark.parametrize("call", UNKNOWN)
def test_the_names_there_are_come_with_it(two_types: str, capsys: pytest.CaptureFixture[str], call: str) -> None:
    code, told = UNKNOWN[call]
    capsys.readouterr()
    assert main([*call.split(), "--lake", two_types]) == code
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_delivery_that_is_not_in_the_file_is_answered_with_those_that_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "deliveries.yaml"
    path.write_text("deliveries:\n  production_s3: {}\n  sandbox_s3: {}\n")
    assert main(["files", "--deliveries", str(path), "--delivery", "sandbox_s4"]) == 1
    assert "it has sandbox_s3, production_s3" in capsys.readouterr().err
