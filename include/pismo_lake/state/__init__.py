"""Answer questions about a delivery: its state, its days, its files, its events and its event types.

The work for each answer is bounded. Nothing is changed, and no answer has a value of a payload.
"""

from pismo_lake.state.day import DayView, view_day
from pismo_lake.state.events import EventSearch, find_copies
from pismo_lake.state.files import FilePage, list_files
from pismo_lake.state.overview import Overview, overview_of
from pismo_lake.state.types import TypeView, list_types, view_type

__all__ = [
    "DayView",
    "EventSearch",
    "FilePage",
    "Overview",
    "TypeView",
    "find_copies",
    "list_files",
    "list_types",
    "overview_of",
    "view_day",
    "view_type",
]
