"""`contracts pull` shows the meaning of schemas, writes them, and names the bad ones on stderr."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml
from tests.lakes import event
from tests.published import INT, NUMBER, PIX, TEXT, of, publish

from pismo_lake.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def test_a_pull_is_shown_then_done(lake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = {f"k{number}": TEXT for number in range(9)}
    publish(tmp_path / "src", {PIX: of(account_id=NUMBER), "cards/x-1.json": of(**many), "cards/y\n-1.json": {}})
    words = ["contracts", "pull", "--from", str(tmp_path / "src"), "--contracts", str(tmp_path / "to"), "--lake", lake]
    capsys.readouterr()
    assert main([*words, "--dry-run"]) == 1
    said = capsys.readouterr()
    assert not (tmp_path / "to").exists()
    assert said.out.splitlines()[-1] == (
        f"would pull {tmp_path}/src into {tmp_path}/to: 2 new, 1 bad, 1 to write, 1 held back"
    )
    # the name of a bad file cannot forge a line
    assert said.err.splitlines() == [
        "cards/y\\n-1.json: the name is not <domain>/<event>-<version>.json of plain letters"
    ]
    assert main(words) == 1
    said = capsys.readouterr()
    table = [line.split(maxsplit=3) for line in said.out.splitlines()]
    assert ["cards/x-1", "new", "written", _new_columns(9)] in table
    assert "pix/pix_in-1  new  held back  it would change the type of a column" in said.out
    assert "data__account_id: int64 becomes decimal128(38, 18)" in said.out
    assert main([*words, "--accept", "pix/*"]) == 1
    assert json.loads((tmp_path / "to" / PIX).read_text()) == of(account_id=NUMBER)
    assert "pix/pix_in-1  changed" not in capsys.readouterr().out


def _new_columns(count: int) -> str:
    shown = ", ".join(f"data__k{number} string" for number in range(6))
    return f"{count} new column(s): {shown} and {count - 6} more"


def test_a_pull_as_json(lake: str, document: Callable[..., Any], tmp_path: Path) -> None:
    publish(tmp_path / "src", {"cards/x-1.json": of(a=INT)})
    words = ["contracts", "pull", "--from", str(tmp_path / "src"), "--contracts", str(tmp_path / "to")]
    found = document(*words)
    column = {"column": "data__a", "change": "added", "before": "", "after": "int64"}
    assert found["schemas"] == [
        {
            "schema": "cards/x-1.json", "state": "new", "fate": "written", "reason": "", "news": True,
            "columns": [column],
        }
    ]  # fmt: skip
    assert document(*words)["counts"] == {
        "new": 0, "changed": 0, "unchanged": 1, "gone": 0, "bad": 0, "written": 0, "held_back": 0, "yours": 0,
    }  # fmt: skip
    assert lake


def test_a_pull_needs_a_source_and_a_folder(lake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contracts", "pull", "--lake", lake]) == 1
    assert "give --from, or contracts.pull.source of the delivery" in capsys.readouterr().err
    publish(tmp_path / "src", {PIX: {}})
    assert main(["contracts", "pull", "--from", str(tmp_path / "src"), "--lake", lake]) == 1
    assert "give --contracts FOLDER, or contracts.folder of the delivery" in capsys.readouterr().err
    capsys.readouterr()
    assert main(["contracts", "pull", "--from", str(tmp_path / "gone"), "--contracts", "x", "--lake", lake]) == 1
    assert "gone is no folder" in capsys.readouterr().err


def test_a_pull_of_a_delivery_before_its_first_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(tmp_path / "src", {PIX: of(n=INT)})
    body = {
        "organisation": "TN-1", "environment": "sandbox", "channel": "sftp", "conn_id": "c", "source": {},
        "landing": str(tmp_path / "landing"), "lake": str(tmp_path / "lake"),
        "ledger_url": f"sqlite:///{tmp_path / 'ledger.db'}", "contracts": {"folder": "to", "pull": {"source": "src"}},
    }  # fmt: skip
    (tmp_path / "deliveries.yaml").write_text(yaml.safe_dump({"deliveries": {"ours": body}}))
    words = ["--deliveries", str(tmp_path / "deliveries.yaml"), "--delivery", "ours"]
    assert main(["contracts", "pull", *words]) == 0
    assert "1 new, 1 written" in capsys.readouterr().out
    # no ledger and no lake come from a look at schemas
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deliveries.yaml", "src", "to"]
    # an event announces a newer one
    change = {
        "change_type": "MODIFY", "schema_domain": "cards", "schema_event_type": "x-2", "schema_version": "2",
        "new_schema": json.dumps(of(a=TEXT)),
    }  # fmt: skip
    feed = tmp_path / "feed" / "main_stream" / "2026" / "3" / "1" / "12" / "a"
    feed.parent.mkdir(parents=True)
    feed.write_bytes(event("e-1", change, domain="dataplatform", event_type="json-schema-change"))
    assert main(["flatten", str(tmp_path / "feed"), *words]) == 0
    assert main(["contracts", "pull", "--announced", "2026-03-01", *words]) == 0
    assert json.loads((tmp_path / "to" / "cards" / "x-2.json").read_text()) == of(a=TEXT)
