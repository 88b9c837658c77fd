"""Parse a deliveries file of many entries with `privacy: strict`, as each DAG file does."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from pismo_lake.settings.deliveries import Delivery, load_deliveries

ENTRY = """\
  feed_{number}:
    organisation: TN-{number}
    environment: production
    channel: s3
    conn_id: pismo
    source: {{pismo_account_id: "123456789012"}}
    landing: landing/{number}
    lake: lake/{number}
    ledger_conn_id: pismo_ledger
    privacy: strict
    privacy_key_conn_id: pismo_key
"""


def main(arguments: list[str]) -> int:
    """Print the CPU seconds of the first and of the second read in one process."""
    parser = argparse.ArgumentParser(prog="benchmarks deliveries", description=__doc__)
    parser.add_argument("--entries", type=int, default=200)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="pismo-bench-") as folder:
        path = Path(folder) / "deliveries.yaml"
        path.write_text("deliveries:\n" + "".join(ENTRY.format(number=n) for n in range(options.entries)))
        for read in ("first", "second"):
            started = time.process_time()
            found = load_deliveries(path)
            seconds = time.process_time() - started
            assert all(isinstance(entry, Delivery) for entry in found)
            print(f"{read:6} read  {len(found)} deliveries, {seconds:.3f} CPU s")
    return 0
