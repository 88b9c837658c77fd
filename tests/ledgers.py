"""Make ledgers of every state before versions by SQL scripts, and check migrated ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, select, text

from pismo_lake.ledger import BuildLedger, FileLedger, Ledger, RawLedger, Sightings
from pismo_lake.ledger.tables import contract_changes, contracts, erasures, lakes, metadata, raw_files
from pismo_lake.ledger.version import VERSION, VERSION_TABLE

STATES = sorted((Path(__file__).parent / "fixtures" / "ledgers").glob("*.sql"))
LAKE, DELIVERY, HOUR = "/lake", "feed", "2026-03-01T12"
RAW = {
    "lake": LAKE, "delivery": DELIVERY, "name": "new", "key": "new", "size": 1, "sha256": None,
    "publish_hour": HOUR, "raw_uri": "/landing/new", "landed_at": "2026-03-03T00:00:00+00:00",
}  # fmt: skip


def make(engine: Engine, state: Path) -> None:
    """Make a ledger by its script."""
    script = state.read_text(encoding="utf-8")
    if engine.dialect.name == "postgresql":
        script = script.replace("id INTEGER NOT NULL,\n", "id SERIAL NOT NULL,\n")
    statements = re.split(r";\n", re.sub(r"^--.*\n", "", script))
    with engine.begin() as connection:
        for statement in filter(str.strip, statements):
            connection.exec_driver_sql(statement)


def dump(engine: Engine) -> dict[str, Any]:
    """Return the columns, indexes and rows of every table of the ledger."""
    with engine.connect() as connection:
        seen = inspect(connection)
        return {
            table: (
                sorted(column["name"] for column in seen.get_columns(table)),
                sorted(str(index["name"]) for index in seen.get_indexes(table)),
                sorted(map(repr, connection.execute(text(f"SELECT * FROM {table}")).mappings())),
            )
            for table in seen.get_table_names()
        }


def differences(engine: Engine, *, types: bool) -> list[Any]:
    """Return what Alembic sees differ between a ledger and the tables of the program."""
    options = {"compare_type": types, "include_object": lambda _, name, *__: name != VERSION_TABLE}
    with engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


def check_migrated(ledger: Ledger, state: Path) -> None:
    """Check that a migrated ledger has every row of a script, and that the program can use it."""
    has = re.findall(r"^INSERT INTO (\w+)", state.read_text(encoding="utf-8"), re.MULTILINE)
    with ledger.engine.connect() as connection:
        assert connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars().all() == [VERSION]
        assert connection.execute(select(contracts.c.version, contracts.c.tree)).all() == [
            (2, {"data": {"amount": "decimal"}})
        ]
        (change,) = connection.execute(select(contract_changes)).all()
        assert (change.before, change.after, change.first_file) == ("integer", "decimal", "main_stream/b")
        erased = connection.execute(select(erasures.c.event_key)).scalars().all()
        assert erased == ["1" * 32] * has.count("pismo_erasures")
        assert connection.execute(select(lakes.c.generation)).scalars().all() == [41] * has.count("pismo_lakes")
    files = FileLedger(ledger, LAKE, DELIVERY)
    a, b, unreadable = sorted(files.of_day("2026-03-01"), key=lambda file: file.name)
    assert (a.built, b.built, b.etag, unreadable.status) == (True, False, '"e"', "unreadable")
    assert (a.closed, a.touched in {0, 2}, a.max_timestamp) == (False, True, 1772370000000000)
    assert unreadable.problem == "no form that is known: it's text"
    (built,) = BuildLedger(ledger, LAKE, DELIVERY, HOUR).parts()
    assert (built.part, list(built.outputs), list(built.superseded)) == (0, ["events/domain=pix/a.parquet"], [])
    waiting = RawLedger(ledger, LAKE, DELIVERY).list_waiting(None)
    assert [raw.name for raw in waiting] == ["main_stream/d"] * has.count("pismo_raw_files")
    sightings = Sightings(ledger, LAKE, DELIVERY)
    assert [seen.key for seen in sightings.of_day("2026-03-01")] == ["main_stream/c"] * has.count("pismo_sightings")
    # rows have numbers of their own, and a hash may be left out
    with ledger.transaction() as connection:
        values = {
            column.name: getattr(change, column.name) for column in contract_changes.columns if column.name != "id"
        }
        connection.execute(contract_changes.insert().values(values))
        connection.execute(raw_files.insert().values(RAW))
    files.mark_unbuilt(HOUR)
    assert HOUR in files.unbuilt_units()
