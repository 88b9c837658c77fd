"""Write tables and views for query engines."""

from pismo_lake.ddl.dialects import DIALECTS
from pismo_lake.ddl.statements import statements
from pismo_lake.ddl.tables import lake_tables

__all__ = ["DIALECTS", "lake_tables", "statements"]
