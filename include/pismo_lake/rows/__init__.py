"""Make Arrow rows from events."""

from pismo_lake.rows.child_tables import child_tables
from pismo_lake.rows.dates import event_dates
from pismo_lake.rows.flatten import flatten
from pismo_lake.rows.schema import lake_schema

__all__ = ["child_tables", "event_dates", "flatten", "lake_schema"]
