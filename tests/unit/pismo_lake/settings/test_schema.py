"""The JSON Schema of the deliveries file: up to date, and of one mind with the models."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest
import yaml
from tests.unit.pismo_lake.settings.test_deliveries import GOOD, WRONG

from pismo_lake.settings.deliveries import InvalidDelivery, load_deliveries
from pismo_lake.settings.schema import deliveries_schema, schema_text

ROOT = Path(__file__).resolve().parents[4]
FILES = sorted((ROOT / "config").rglob("*.yaml"))
# rules between settings, and rules of values that only the models check
BEYOND_THE_SCHEMA = {
    "pull of nothing", "pull into no folder", "pull into its source", "pull by a connection from a folder",
    "no contracts there", "privacy without a key", "no such policy", "nothing tells", "queue", "schedule",
    "schedule out of range", "continuous with notices", "continuous without a wait", "zone", "no bucket",
    "half a scheme", "another store", "one in the other", "nan", "catalog alone", "catalog with a password",
    "catalog with a token", "rest without a uri", "encrypted tables", "two formats of a lake", "kept files alone",
    "tables in another cloud",
}  # fmt: skip


def is_valid(text: str) -> bool:
    return jsonschema_rs.is_valid(deliveries_schema(), yaml.safe_load(text))


def test_the_file_is_up_to_date() -> None:
    assert (ROOT / "config" / "deliveries.schema.json").read_text(encoding="utf-8") == schema_text(), "make schema"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_shipped_files_name_the_schema_and_follow_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = text.partition("$schema=")[2].split("\n", 1)[0]
    assert json.loads((path.parent / named).read_text(encoding="utf-8")) == deliveries_schema()
    assert is_valid(text)
    assert not [entry for entry in load_deliveries(path) if isinstance(entry, InvalidDelivery)]


@pytest.mark.parametrize("name", sorted(WRONG.keys() - BEYOND_THE_SCHEMA))
def test_an_editor_marks_wrong_settings(name: str) -> None:
    assert is_valid(GOOD)
    assert not is_valid(GOOD + WRONG[name][0])


def test_a_variable_is_allowed_for_each_kind_of_setting() -> None:
    assert is_valid(GOOD + "    lookback_hours: ${HOURS:-3}\n    listing: ${LISTING}\n")
    assert not is_valid(GOOD + "    lookback_hours: three\n")
