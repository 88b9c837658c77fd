"""Flatten files without Airflow, on all cores."""

from pismo_lake.local.files import local_files
from pismo_lake.local.workers import Workers

__all__ = ["Workers", "local_files"]
