"""Run the demo with `python -m pismo_demo up`, stop it with `down`; the Makefile calls both."""

from __future__ import annotations

import argparse
import os
import sys

from pismo_demo.demo import down, up
from pismo_demo.errors import DemoError
from pismo_demo.options import Options


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="pismo_demo", description="The demo; set HOURS, MB, SEED, KEEP, CHANNEL and TABLES in the environment."
    )
    parser.add_argument("command", choices=("up", "down"))
    command = parser.parse_args().command
    try:
        options = Options.from_environment(os.environ)
        if command == "up":
            up(options)
        else:
            down(options.home)
    except DemoError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
