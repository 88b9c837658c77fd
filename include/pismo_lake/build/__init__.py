"""Write the Parquet files of a publish hour or a publish day, once."""

from pismo_lake.build.day import build_unit, close_day
from pismo_lake.build.plan import plan_units
from pismo_lake.build.summary import BuildSummary

__all__ = ["BuildSummary", "build_unit", "close_day", "plan_units"]
