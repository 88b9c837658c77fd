"""Report whether a day is complete, with proof."""

from pismo_lake.report.model import DayReport
from pismo_lake.report.reconcile import reconcile
from pismo_lake.report.write import write_report

__all__ = ["DayReport", "reconcile", "write_report"]
