"""Note in a lake which table format and which catalog it has, so that later commands need only the lake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError

from pismo_lake import storage
from pismo_lake.errors import LakeError
from pismo_lake.paths import TABLES_NOTE
from pismo_lake.settings.tables import SNAPSHOTS_KEPT_HOURS, Catalog, FileRemoval, TableFormat, Tables

if TYPE_CHECKING:
    from pismo_lake.settings.lake import LakeSettings


def remember(settings: LakeSettings) -> None:
    """Note the format and the catalog of a lake, if the lake says otherwise; leave out secrets."""
    tables, uri = settings.tables, storage.join(settings.lake, TABLES_NOTE)
    assert tables is not None
    given = tables.catalog
    content = {
        "table_format": tables.format.value,
        "snapshots_kept_hours": tables.snapshots_kept_hours,
        "remove_files": tables.remove_files.value,
        "catalog": {
            "type": given.type.value,
            "uri": given.uri,
            "conn_id": given.conn_id,
            "warehouse": given.warehouse,
            "properties": given.properties,
        },
    }
    document = orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    if _read(uri) != document:
        storage.write_atomic(uri, document)


def remembered(lake: str) -> Tables | None:
    """Return the tables of a lake; None if it has none.

    Raises:
        LakeError: the note is damaged.
    """
    uri = storage.join(lake, TABLES_NOTE)
    document = _read(uri)
    if document is None:
        return None
    try:
        content: dict[str, Any] = orjson.loads(document)
        catalog, kept = Catalog(**content["catalog"]), content.get("snapshots_kept_hours", SNAPSHOTS_KEPT_HOURS)
        removal = FileRemoval(content.get("remove_files", FileRemoval.AT_ONCE))
        form = TableFormat(content["table_format"])
        return Tables(form, catalog, snapshots_kept_hours=float(kept), remove_files=removal)
    except (ValueError, KeyError, TypeError, ValidationError):
        msg = f"{uri} is damaged: remove it, and give --table-format once"
        raise LakeError(msg) from None


def _read(uri: str) -> bytes | None:
    try:
        return storage.read_bytes(uri)
    except (FileNotFoundError, NotADirectoryError):
        return None
