"""Write tables and views for query engines."""

from pismo_lake.ddl.dialects import DIALECTS
from pismo_lake.ddl.statements import lake_tables, statements

__all__ = ["DIALECTS", "lake_tables", "statements"]
