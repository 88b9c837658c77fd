"""Send events again to a consumer that has missed them, and find which ones it has missed."""

from pismo_lake.replay.ids import IdSet
from pismo_lake.replay.missing import find_missing
from pismo_lake.replay.pace import Pace
from pismo_lake.replay.seen import read_ids
from pismo_lake.replay.selection import Selection, TimeRange
from pismo_lake.replay.send import send_replay
from pismo_lake.replay.start import plan_replay

__all__ = ["IdSet", "Pace", "Selection", "TimeRange", "find_missing", "plan_replay", "read_ids", "send_replay"]
