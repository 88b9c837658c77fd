"""Check the rights and keys of a delivery: `python -m pismo doctor DELIVERY`."""

from __future__ import annotations

import argparse
import io
import json
import logging
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import TYPE_CHECKING

from pismo.names import deliveries_file

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a delivery's checks; return 0 if none failed, 1 if one did, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="pismo", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("doctor", help="check each right and key of a delivery")
    command.add_argument("delivery")
    command.add_argument("--deliveries", default=deliveries_file(), metavar="FILE", help="(PISMO_DELIVERIES)")
    command.add_argument("--key", help="key of an event file to read if listing is denied")
    command.add_argument("--other-host", metavar="HOST:PORT", help="SFTP: the other environment's endpoint")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--letter", action="store_true", help="print a letter that asks Pismo for the missing rights")
    options = parser.parse_args(arguments)
    return _doctor(options)


def doctor(arguments: Sequence[str]) -> int:
    """Run the command `doctor` of `pismo-lake`, which an entry point adds."""
    return main(["doctor", *arguments])


def _doctor(options: argparse.Namespace) -> int:
    from pismo.checks.check import State, table
    from pismo.checks.doctor import examine
    from pismo_lake.errors import ConfigError
    from pismo_lake.settings.deliveries import find_delivery

    try:
        delivery = find_delivery(options.deliveries, options.delivery)
    except ConfigError as error:
        print(f"fail     delivery\n         {error}", file=sys.stderr)
        return 1
    # hooks print how they find credentials; only the table may be printed
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()):
            checks = list(examine(delivery, key=options.key, other_host=options.other_host))
    finally:
        logging.disable(logging.NOTSET)
    failed = any(check.state is State.FAIL for check in checks)
    if options.letter:
        from pismo.checks.letter import write_letter

        print(write_letter(delivery, checks))
    elif options.json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        print(table(checks))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
