"""Measure the cost of values that fit no column, in a 10 MB file: `make bench ARGS="odd"`.

It measures both indexing and flattening.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejson

from pismo_lake.contracts.columns import FastReader
from pismo_lake.contracts.contract import Contract
from pismo_lake.decode.container import Plain
from pismo_lake.index.make import index_file
from pismo_lake.rows.flatten import EventBytes, flatten
from pismo_lake.settings.lake import DECIMAL_NAMES, FREE_FORM
from pismo_sandbox.feed.payloads import network_authorization

if TYPE_CHECKING:
    from collections.abc import Sequence

_ODD = ("n/a", 10**19, Decimal("1E-30"), {"was": "an amount"})


def main(arguments: Sequence[str]) -> int:
    """Measure files with more and more odd values; print medians beside those of a clean file."""
    parser = argparse.ArgumentParser(prog="benchmarks odd")
    parser.add_argument("--mb", type=float, default=10)
    parser.add_argument("--odd", type=int, nargs="+", default=[0, 1, 10, 100])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    files = {count: _file(options.mb, count) for count in options.odd}
    times: dict[int, list[tuple[float, float]]] = {count: [] for count in files}
    for _ in range(options.rounds):
        for count, raws in files.items():
            times[count].append(_measure(raws))
    print(
        f"one file of {options.mb:g} MB, {len(files[options.odd[0]])} events of one type; medians of {options.rounds}"
    )
    print(f"{'odd values':>10} {'index ms':>9} {'flatten ms':>11} {'both, of the first':>19}")
    first = sum(statistics.median(column) for column in zip(*times[options.odd[0]], strict=True))
    for count, measured in times.items():
        index, flat = (statistics.median(column) for column in zip(*measured, strict=True))
        print(f"{count:>10} {index * 1e3:>9.0f} {flat * 1e3:>11.0f} {(index + flat) / first:>18.2f}x")
    return 0


def _file(mb: float, odd: int) -> list[bytes]:
    r, raws, size = random.Random(1), list[bytes](), 0
    while size < mb * 1e6:
        raws.append(_event(len(raws), network_authorization(r)))
        size += len(raws[-1])
    for number in range(odd):
        place = (number * 2 + 1) * len(raws) // (2 * odd)
        raws[place] = _event(place, network_authorization(r) | {"contract_amount": _ODD[number % len(_ODD)]})
    return raws


def _event(number: int, data: Any) -> bytes:
    envelope = {"event_id": f"e-{number}", "domain": "networktransactions", "event_type": "network-authorization",
                "schema_version": 1, "org_id": "TN-1", "cid": "c", "timestamp": "2026-03-01T12:00:00.000Z"}  # fmt: skip
    return simplejson.dumps(envelope | {"data": data}, use_decimal=True, separators=(",", ":")).encode()


def _measure(raws: list[bytes]) -> tuple[float, float]:
    """Seconds to index the file, its type known from a file before, and to flatten its events."""
    contract = Contract(free_form=FREE_FORM, decimals=DECIMAL_NAMES)
    index_file(Plain(b"".join(raws[:200]), "concatenated"), lambda *_: contract)
    started = time.perf_counter()
    found = index_file(Plain(b"".join(raws), "concatenated"), lambda *_: contract)
    indexed = time.perf_counter()
    offsets, regular = (found.table.column(name).to_numpy() for name in ("offset", "regular"))
    cuts = found.table.column("payload_at").fill_null(0).to_numpy().astype(np.int64)
    # the parsed payloads that a local landing keeps
    takes = FastReader(contract).takes
    parsed = [rows.at(offsets) for rows in found.parsed if takes(rows.payload.schema)]
    flatten(EventBytes(raws, regular, cuts, parsed), contract)
    return indexed - started, time.perf_counter() - indexed
