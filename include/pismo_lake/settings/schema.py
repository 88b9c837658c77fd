"""Make the JSON Schema of the deliveries file, for editors and for the reference page.

``python -m pismo_lake.settings.schema`` prints it; `make schema` writes it to ``config/deliveries.schema.json``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pydantic import TypeAdapter

from pismo_lake.settings.channels import SOURCES
from pismo_lake.settings.delivery import Delivery

_FROM_ENVIRONMENT = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}
_NOT_TEXT = {"integer", "number", "boolean"}


def deliveries_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a deliveries file.

    Each setting may also be text that names a variable of the environment, ``${NAME}`` or ``${NAME:-default}``.
    """
    delivery = TypeAdapter(Delivery).json_schema(ref_template="#/$defs/{model}")
    definitions = delivery.pop("$defs")
    # the name is the key of the mapping
    del delivery["properties"]["name"]
    delivery["required"].remove("name")
    delivery["allOf"] = [
        {
            "if": {"properties": {"channel": {"const": channel.value}}},
            "then": {"properties": {"source": {"$ref": f"#/$defs/{source.__name__}"}}},
        }
        for channel, source in SOURCES.items()
    ]
    definitions["Delivery"] = delivery
    for definition in definitions.values():
        for name, setting in definition.get("properties", {}).items():
            definition["properties"][name] = _or_variable(setting)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Deliveries of pismo-lake",
        "type": "object",
        "required": ["deliveries"],
        "properties": {
            "deliveries": {
                "type": "object",
                "description": "One entry for each feed; each gets an ingest DAG and a close DAG.",
                "propertyNames": {"pattern": "^[a-z][a-z0-9_]{0,62}$"},
                "additionalProperties": {"$ref": "#/$defs/Delivery"},
            }
        },
        "$defs": dict(sorted(definitions.items())),
    }


def _or_variable(setting: dict[str, Any]) -> dict[str, Any]:
    """Allow a variable of the environment for a setting that is no text; leave out titles.

    Titles only repeat the names.
    """
    setting = {key: value for key, value in setting.items() if key != "title"}
    kinds = setting.get("anyOf", [setting])
    if not any(kind.get("type") in _NOT_TEXT for kind in kinds):
        return setting
    outer = {key: setting.pop(key) for key in ("description", "default") if key in setting}
    return outer | {"anyOf": [*setting.get("anyOf", [setting]), _FROM_ENVIRONMENT]}


def schema_text() -> str:
    """Return the schema as the text of its file."""
    return json.dumps(deliveries_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
