"""Find one event by its id, show it, erase it."""

from pismo_lake.events.erase import erase
from pismo_lake.events.find import display_event, find_event, keys_of_events

__all__ = ["display_event", "erase", "find_event", "keys_of_events"]
