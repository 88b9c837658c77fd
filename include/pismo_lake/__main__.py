"""Run the command line: `pismo-lake`, or `python -m pismo_lake`."""

from pismo_lake.cli.program import run

__all__ = ["run"]

if __name__ == "__main__":  # worker processes import this module too
    run()
