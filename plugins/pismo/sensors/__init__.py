"""Wait for files, and for a day to settle."""

from pismo.sensors.day_settled import DaySettledSensor
from pismo.sensors.new_files import NewFilesSensor

__all__ = ["DaySettledSensor", "NewFilesSensor"]
