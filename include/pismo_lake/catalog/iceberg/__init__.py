"""Keep Iceberg tables over the lake's files, through pyiceberg."""

from pismo_lake.catalog.iceberg.tables import IcebergTables

__all__ = ["IcebergTables"]
