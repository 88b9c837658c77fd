"""Make validators of schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema_rs

from pismo_lake.contracts.json_schema import uri_of
from pismo_lake.errors import ConfigError

if TYPE_CHECKING:
    from pismo_lake.contracts.json_schema import SchemaFolder


def validator_of(folder: SchemaFolder, name: str) -> tuple[Any, bool]:
    """Return a schema's validator, and whether the schema describes the whole event.

    Raises:
        ConfigError: it is not a draft-07 schema.
    """
    document = folder.document(name)
    properties = document.get("properties") if isinstance(document, dict) else None
    whole = isinstance(properties, dict) and bool(properties.keys() & {"event_id", "event_type"})
    try:
        return jsonschema_rs.Draft7Validator(
            document, base_uri=uri_of(name), retriever=folder.retrieve, validate_formats=True
        ), whole
    except (ValueError, ConfigError) as error:
        msg = f"contract {folder.place(name)}: {str(error).splitlines()[0]}"
        raise ConfigError(msg) from error
