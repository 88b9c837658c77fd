"""`contracts dictionary` prints a dictionary, or writes it in all forms; `ddl` prints the sources of dbt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from pismo_lake.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_dictionary_is_printed_or_written(lake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    printed = {}
    for form in ("markdown", "html"):
        assert main(["contracts", "dictionary", "--format", form, "--lake", lake]) == 0
        printed[form] = capsys.readouterr().out
    assert main(["contracts", "dictionary", "--into", str(tmp_path / "a" / "b"), "--lake", lake]) == 0
    written = [tmp_path / "a" / "b" / name for name in ("data-dictionary.md", "data-dictionary.html")]
    assert capsys.readouterr().out.splitlines() == list(map(str, written))
    assert [path.read_text() for path in written] == list(printed.values())
    assert "## pix/pix\\_in-1" in printed["markdown"]
    assert "<h2>pix/pix_in-1</h2>" in printed["html"]


def test_sources_name_the_types_of_an_engine(lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = {}
    for engine in ("duckdb", "snowflake"):
        capsys.readouterr()
        assert main(["ddl", "--dialect", "dbt", "--engine", engine, "--lake", lake]) == 0
        (source,) = yaml.safe_load(capsys.readouterr().out)["sources"]
        (table,) = (table for table in source["tables"] if table["name"] == "pix_in")
        (found[engine],) = (column for column in table["columns"] if column["name"] == "account_id")
    assert (found["duckdb"]["data_type"], "quote" in found["duckdb"]) == ("BIGINT", False)
    assert (found["snowflake"]["data_type"], found["snowflake"]["quote"]) == ("NUMBER(38, 0)", True)
