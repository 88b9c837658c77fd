"""Define the command `check`."""

from __future__ import annotations

from typing import Annotated

import typer

from pismo_lake.cli.command import OpenLake, command
from pismo_lake.cli.output import print_json


@command("check", json=True)
def check(
    lake: OpenLake,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Remove files that nothing owns, and make missing and damaged files again. Pause the DAGs first.",
        ),
    ] = False,
) -> int:
    """Compare the files of lake and landing with the ledger."""
    from pismo_lake.check.run import check_lake

    result = check_lake(lake.settings, lake.ledger, repair=repair)
    if lake.json:
        print_json([finding.to_json() for finding in result.findings])
    else:
        for finding in result.findings:
            print(finding)
        print(result)
    return 1 if result.left else 0
