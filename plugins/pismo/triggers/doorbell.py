"""Keep the old path of the trigger: runs that version 0.1 deferred resume after an upgrade."""

from pismo.triggers.notices_waiting import NoticesWaitingTrigger

__all__ = ["NoticesWaitingTrigger"]
