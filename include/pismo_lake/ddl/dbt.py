"""Describe the tables and views of a lake as sources of dbt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from pismo_lake.ddl.statements import find_dialect, relations

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pismo_lake.ddl.over_catalog import LakeCatalog
    from pismo_lake.ddl.statements import Relation
    from pismo_lake.ddl.tables import DescribedTable

SOURCE = "pismo"
"""The name of the source: a model reads ``{{ source('pismo', 'pix_in') }}``."""

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_HEAD = "# Made by `pismo_lake ddl --dialect dbt`. The tables and views are those of `pismo_lake ddl --dialect {}`.\n"
_DESCRIPTION = 1000


def dbt_sources(
    tables: Iterable[DescribedTable], engine: str, schema: str = "", catalog: LakeCatalog | None = None
) -> dict[str, Any]:
    """Return the content of a `sources.yml` for the tables and views that `statements` make for an engine.

    `schema` is theirs, with the database before it if there is one. Without it, dbt takes the schema of its target.
    """
    database, _, own = schema.rpartition(".")
    source: dict[str, Any] = {"name": SOURCE, "description": "Events of Pismo, from its event files."}
    if database:
        source["database"] = database
    source["schema"] = own or "{{ target.schema }}"
    source["tables"] = [_table(relation, engine) for relation in relations(tables, engine, catalog=catalog)]
    return {"version": 2, "sources": [source]}


def dbt_yaml(document: dict[str, Any], engine: str) -> str:
    """Return the text of a `sources.yml`."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return _HEAD.format(engine) + yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True, width=1000)


def _table(relation: Relation, engine: str) -> dict[str, Any]:
    speech, columns = find_dialect(engine), []
    for column in relation.columns:
        listed: dict[str, Any] = {"name": column.name, "data_type": speech.type(column.type)}
        if comment := column.comment(_DESCRIPTION):
            listed["description"] = comment
        # Snowflake makes capitals of names without quotes
        if engine == "snowflake" or not _PLAIN.fullmatch(column.name):
            listed["quote"] = True
        columns.append(listed)
    return {"name": relation.name, "description": relation.about, "columns": columns}
