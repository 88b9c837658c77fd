"""Run the command line."""

from pismo_lake.cli.main import main

__all__ = ["main"]
