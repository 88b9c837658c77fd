"""`--json` prints one JSON document on stdout, and nothing else there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import HOUR, event

from pismo_lake.cli.main import main
from pismo_lake.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY = "2026-03-01"
READING = {
    "report": ["report", "--date", DAY],
    "close dry": ["close", "--date", DAY, "--dry-run"],
    "close": ["close", "--date", DAY],
    "files": ["files"],
    "files failed": ["files", "--failed"],
    "files of no day": ["files", "--date", "2026-03-09"],
    "where-is": ["where-is", "e-1"],
    "show": ["show", "e-1", "--all"],
    "ddl": ["ddl", "--dialect", "duckdb"],
    "ddl dbt": ["ddl", "--dialect", "dbt"],
    "contracts show": ["contracts", "show"],
    "contracts dictionary": ["contracts", "dictionary"],
    "contracts show one": ["contracts", "show", "pix/pix_in-1"],
    "contracts diff": ["contracts", "diff"],
    "contracts check": ["contracts", "check", "--date", DAY],
    "contracts adopt": ["contracts", "adopt", "pix/pix_in-1"],
    "status": ["status"],
    "erase dry": ["erase", "--event-id", "e-1", "--dry-run"],
    "erase": ["erase", "--event-id", "e-1", "--reference", "t"],
    "flatten": ["flatten", "{root}/feed"],
    "forget": ["files", "--forget", f"{HOUR}/e-1"],
    "rebuild": ["ledger", "rebuild"],
}


@pytest.mark.parametrize("command", READING)
def test_stdout_is_one_document(document: Callable[..., Any], tmp_path: Path, command: str) -> None:
    assert document(*(word.format(root=tmp_path) for word in READING[command]))


def test_documents_say_what_the_texts_say(document: Callable[..., Any], lake: str) -> None:
    files = document("files")["files"]
    assert [(file["name"], file["size"], file["built"]) for file in files] == [
        (f"{HOUR}/e-1", len(event("e-1")), True),
        (f"{HOUR}/e-2", len(event("e-2")), True),
    ]
    (copy,) = document("where-is", "e-1")["copies"]
    assert (copy["state"], copy["file"], copy["offset"]) == ("in the lake", f"{HOUR}/e-1", 0)
    assert copy["parquet"]["uri"].startswith(lake)
    report = document("report", "--date", DAY)
    assert (report["verdict"], report["files"]) == ("incomplete", 2)
    assert report["places"][-1].endswith("local.html")
    assert document("close", "--date", DAY)["days"][0]["report"]["verdict"] == "complete"
    assert document("contracts", "show", "pix/pix_in-1")["columns"][0]["name"].startswith("data__")
    assert document("ddl", "--dialect", "duckdb")["statements"]
    (source,) = document("ddl", "--dialect", "dbt", "--schema", "lake.bank")["sources"]["sources"]
    assert (source["database"], source["schema"]) == ("lake", "bank")
    sections = document("contracts", "dictionary")["sections"]
    assert [section["title"] for section in sections[:2]] == ["Columns of all event types", "pix/pix_in-1"]
    assert sections[1]["names"]["view of all versions"] == "pix_in"
    assert sections[1]["columns"][0]["path"] == "/data/account_id"


def test_a_shown_event_keeps_the_digits_of_its_numbers(
    lake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = b"12345678901234567890.10"
    (tmp_path / "big").write_bytes(event("big", {"amount": 0}).replace(b'"amount":0', b'"amount":' + digits))
    assert main(["flatten", str(tmp_path / "big"), "--lake", lake]) == 0
    capsys.readouterr()
    assert main(["show", "big", "--json", "--lake", lake]) == 0
    shown = capsys.readouterr().out
    assert digits.decode() in shown
    assert json.loads(shown)["copies"][0]["event"]["event_id"] == "big"


def test_an_unknown_event_has_no_copies_and_fails(document: Callable[..., Any]) -> None:
    assert document("where-is", "nowhere", code=1) == {"event_id": "nowhere", "copies": []}
    assert document("show", "nowhere", code=1)["copies"] == []


def test_half_a_character_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "half \ud800", "other": "São"})
    assert json.loads(capsys.readouterr().out) == {"name": "half \ud800", "other": "São"}
