"""Wait in the triggerer for new files and notices."""

from pismo.triggers.new_files import NewFilesTrigger
from pismo.triggers.notices_waiting import NoticesWaitingTrigger

__all__ = ["NewFilesTrigger", "NoticesWaitingTrigger"]
