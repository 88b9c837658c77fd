"""Add the tables of replays: their progress, and the events that could not be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, String, Text

if TYPE_CHECKING:
    from sqlalchemy import Inspector

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add both tables; a ledger that has lost its number may have them."""
    present: Inspector = op.get_context().opts["present"]
    tables = present.get_table_names()
    if "pismo_replays" not in tables:
        op.create_table(
            "pismo_replays",
            Column("lake", String(500), primary_key=True),
            Column("delivery", String(100), primary_key=True),
            Column("replay_id", String(64), primary_key=True),
            Column("target", String(1000), nullable=False),
            Column("selection", Text, nullable=False),
            Column("raw", Boolean, nullable=False),
            Column("events", BigInteger, nullable=False),
            Column("bytes", BigInteger, nullable=False),
            Column("position", BigInteger, nullable=False),
            Column("sent", BigInteger, nullable=False),
            Column("refused", BigInteger, nullable=False),
            Column("erased", BigInteger, nullable=False),
            Column("problem", Text),
            Column("claim", String(32)),
            Column("planned_at", String(32), nullable=False),
            Column("sent_at", String(32)),
            Column("finished_at", String(32)),
            Column("run", String(500)),
        )
    if "pismo_replay_refusals" not in tables:
        op.create_table(
            "pismo_replay_refusals",
            Column("lake", String(500), primary_key=True),
            Column("delivery", String(100), primary_key=True),
            Column("replay_id", String(64), primary_key=True),
            Column("position", BigInteger, primary_key=True),
            Column("name", String(1200), nullable=False),
            Column("offset", BigInteger, nullable=False),
            Column("reason", Text, nullable=False),
        )
