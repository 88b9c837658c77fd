"""Keep the former path of the trigger, so that runs deferred by version 0.1 resume after an upgrade."""

from pismo.triggers.notices_waiting import NoticesWaitingTrigger

__all__ = ["NoticesWaitingTrigger"]
