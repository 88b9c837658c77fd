"""Pull the JSON schemas that Pismo publishes into the folder of contracts."""

from pismo_lake.schemas.model import ColumnChange, Pull, PulledSchema
from pismo_lake.schemas.pull import pull_schemas
from pismo_lake.schemas.source import SchemaSource

__all__ = ["ColumnChange", "Pull", "PulledSchema", "SchemaSource", "pull_schemas"]
