"""Add to erasures whether the bytes in landing are erased too.

If so, the bytes of a later copy are blanked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import op
from sqlalchemy import Boolean, Column

if TYPE_CHECKING:
    from sqlalchemy import Inspector

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; earlier erasures have null, which says that the bytes in landing stayed."""
    present: Inspector = op.get_context().opts["present"]
    tables = present.get_table_names()
    columns = present.get_columns("pismo_erasures") if "pismo_erasures" in tables else []
    # a ledger that has lost its number may have the column
    if "raw" not in {column["name"] for column in columns}:
        op.add_column("pismo_erasures", Column("raw", Boolean))
