"""Run the command line: `python -m pismo_lake`."""

if __name__ == "__main__":  # worker processes import this module too, and need no command line
    from pismo_lake.cli.program import run

    run()
