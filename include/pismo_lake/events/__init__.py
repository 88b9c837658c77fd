"""Find one event by its id, show it, erase it."""

from pismo_lake.events.erase import erase
from pismo_lake.events.find import find_event, keys_of_events, shown_event

__all__ = ["erase", "find_event", "keys_of_events", "shown_event"]
