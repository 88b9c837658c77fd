"""Record in SQL the files that are landed, indexed and built."""

from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.ledger.days import DayLedger
from pismo_lake.ledger.engine import Ledger
from pismo_lake.ledger.files import FileLedger, FileRecord
from pismo_lake.ledger.lake_files import LakeFiles
from pismo_lake.ledger.raw_files import RawLedger
from pismo_lake.ledger.sightings import Sightings

__all__ = [
    "BuildLedger",
    "DayLedger",
    "FileLedger",
    "FileRecord",
    "LakeFiles",
    "Ledger",
    "RawLedger",
    "Sightings",
]
