"""Folders of schemas, as Pismo publishes them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pismo_lake.contracts.json_schema import forget_schemas
from pismo_lake.schemas import Pull, SchemaSource, pull_schemas
from pismo_lake.settings.contracts import ContractRules

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lakes import LakeUnderTest

PIX = "pix/pix_in-1.json"
INT, NUMBER, TEXT = {"type": "integer"}, {"type": "number"}, {"type": "string"}
DATE, TIME = TEXT | {"format": "date"}, TEXT | {"format": "date-time"}


def of(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object."""
    return {"type": "object", "properties": properties}


def publish(folder: Path, schemas: dict[str, Any]) -> None:
    """Write schemas below a folder; bytes as they are, and None removes a file."""
    for name, schema in schemas.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if schema is None:
            path.unlink()
        else:
            path.write_bytes(schema if isinstance(schema, bytes) else json.dumps(schema).encode())


class Puller:
    """A lake with a folder of schemas and a source to pull from."""

    def __init__(self, lake: LakeUnderTest) -> None:
        self.lake, self.source, self.folder = lake, lake.root / "published", lake.root / "schemas"
        lake.settings = replace(lake.settings, contracts=ContractRules(str(self.folder), shipped=False))
        self.folder.mkdir()

    def publish(self, **schemas: Any) -> None:
        """Publish the schema of pix_in-1 with these properties, and nothing else."""
        publish(self.source, {PIX: of(**schemas)})

    def pull(self, **options: Any) -> Pull:
        """Pull from the source."""
        pulled = pull_schemas(self.lake.settings, self.lake.ledger, SchemaSource(str(self.source)), **options)
        forget_schemas()
        return pulled

    def files(self) -> dict[str, bytes]:
        """Return every file of the folder, hidden ones and the records too."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in paths}

    def schemas(self) -> dict[str, bytes]:
        """Return the schemas of the folder."""
        return {name: content for name, content in self.files().items() if not name.startswith("_pulled/")}


def brief(pulled: Pull) -> dict[str, tuple[str, str]]:
    """Return state and fate of each schema that is not unchanged."""
    return {schema.name: (str(schema.state), str(schema.fate)) for schema in pulled.schemas}


def columns(pulled: Pull, name: str = PIX) -> set[tuple[str, str, str, str]]:
    """Return the meaning of one schema for columns."""
    (schema,) = (schema for schema in pulled.schemas if schema.name == name)
    return {(change.column, str(change.kind), change.before, change.after) for change in schema.columns}
