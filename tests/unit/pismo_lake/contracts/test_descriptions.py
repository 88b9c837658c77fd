"""Descriptions of schemas reach the columns, and a column says where its type comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import LakeUnderTest, event

from pismo_lake.contracts.columns import payload_columns
from pismo_lake.contracts.describe import declared_node, source_of_type
from pismo_lake.contracts.json_schema import SchemaFolder
from pismo_lake.contracts.store import ContractStore
from pismo_lake.settings.contracts import ContractRules

if TYPE_CHECKING:
    from pathlib import Path

AMOUNT = {"type": "number", "description": "An amount."}
SCHEMAS: dict[str, dict[str, Any]] = {
    "own": {"properties": {"a": AMOUNT}},
    "title": {"properties": {"a": {"type": "number", "title": "An amount."}}},
    "reference": {"definitions": {"x": AMOUNT}, "properties": {"a": {"$ref": "#/definitions/x"}}},
    "beside a reference": {
        "definitions": {"x": {"type": "number", "description": "Any."}},
        "properties": {"a": {"$ref": "#/definitions/x", "description": "An amount."}},
    },
    "alternatives": {"properties": {"a": {"oneOf": [{"type": "null"}, AMOUNT]}}},
    "parts": {"allOf": [{"properties": {"b": {"type": "string"}}}, {"properties": {"a": AMOUNT}}]},
    "whole event": {"properties": {"event_id": {"type": "string"}, "data": {"properties": {"a": AMOUNT}}}},
    "no text": {"properties": {"a": AMOUNT | {"title": 7}}},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_description_is_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "pix").mkdir()
    path = tmp_path / "pix" / "pix_in-1.json"
    path.write_text(json.dumps({"description": "All of it."} | SCHEMAS[name]))
    node = SchemaFolder.open(tmp_path).payload("pix/pix_in-1.json")
    assert node.about == "All of it."
    assert node.fields["a"].about == "An amount."


def test_a_type_is_declared_only_if_the_schema_has_it(tmp_path: Path) -> None:
    (tmp_path / "schemas" / "pix").mkdir(parents=True)
    lake = LakeUnderTest(tmp_path, contracts=ContractRules(str(tmp_path / "schemas"), shipped=False))
    rows = {"text": 1, "whole": 1, "free": "x", "other": True, "list": [{"in": 1, "more": 2}]}
    lake.put(event("e-1", rows))
    item = {"properties": {"in": {"type": "integer", "description": "In a list."}}}
    properties = {
        "text": {"type": "string"}, "whole": {"type": "number"}, "free": {"description": "Free."},
        "list": {"type": "array", "items": item, "description": "A list."},
    }  # fmt: skip
    schema = {"properties": properties}
    # the contract has its columns already
    (tmp_path / "schemas" / "pix" / "pix_in-1.json").write_text(json.dumps(schema))
    folder = SchemaFolder.open(tmp_path / "schemas")
    declared = folder.payload(folder.names["pix", "pix-in-1"])
    contract = ContractStore(lake.ledger, lake.settings).of("pix", "pix_in-1")
    sources = {column.keys[0]: source_of_type(column, declared) for column in payload_columns(contract)}
    assert sources == {
        "text": "inferred, the schema says string", "whole": "declared", "free": "inferred", "other": "inferred",
        "list": "declared",
    }  # fmt: skip
    about = {
        column.keys[0]: node.about for column in payload_columns(contract) if (node := declared_node(column, declared))
    }
    assert about == {"text": "", "whole": "", "free": "Free.", "list": "A list."}
    # a contract stores no description
    assert "list." not in json.dumps(contract.to_json())
