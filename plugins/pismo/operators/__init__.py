"""Run the work as Airflow tasks."""

from pismo.operators.build import BuildUnitsOperator, ClosePublishDayOperator
from pismo.operators.index import IndexPublishDayOperator, IndexUnitOperator
from pismo.operators.land import LandEventFilesOperator, LandPublishDayOperator
from pismo.operators.report import ReportPublishDayOperator

__all__ = [
    "BuildUnitsOperator",
    "ClosePublishDayOperator",
    "IndexPublishDayOperator",
    "IndexUnitOperator",
    "LandEventFilesOperator",
    "LandPublishDayOperator",
    "ReportPublishDayOperator",
]
