"""Run the pipeline's steps as Airflow tasks."""

from pismo.operators.announce import AnnounceDayOperator, AnnounceRowsOperator
from pismo.operators.build import (
    BuildUnitsOperator,
    ClosePublishDayOperator,
    PlanCloseOperator,
    ShareOutUnitsOperator,
    WriteDayFilesOperator,
)
from pismo.operators.doctor import ExamineDeliveryOperator
from pismo.operators.index import IndexPublishDayOperator, IndexUnitOperator
from pismo.operators.land import CheckLandingOperator, LandEventFilesOperator, LandPublishDayOperator
from pismo.operators.replay import PlanReplayOperator, SendEventsOperator
from pismo.operators.report import ReportPublishDayOperator
from pismo.operators.schemas import PullSchemasOperator

__all__ = [
    "AnnounceDayOperator",
    "AnnounceRowsOperator",
    "BuildUnitsOperator",
    "CheckLandingOperator",
    "ClosePublishDayOperator",
    "ExamineDeliveryOperator",
    "IndexPublishDayOperator",
    "IndexUnitOperator",
    "LandEventFilesOperator",
    "LandPublishDayOperator",
    "PlanCloseOperator",
    "PlanReplayOperator",
    "PullSchemasOperator",
    "ReportPublishDayOperator",
    "SendEventsOperator",
    "ShareOutUnitsOperator",
    "WriteDayFilesOperator",
]
