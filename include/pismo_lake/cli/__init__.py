"""Run the command line."""

from pismo_lake.cli.main import main
from pismo_lake.cli.program import run

__all__ = ["main", "run"]
