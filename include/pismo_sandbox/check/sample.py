"""Check a lake that is too large for a whole comparison.

Every event's identity is checked, and the values of one event in a given number.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from pismo_sandbox.check.verify import Verification, check_rejects, check_row, with_payloads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pismo_sandbox.check.truth import Truth


def verify_sample(lake: str | Path, truth: Truth, one_in: int) -> Verification:
    """Verify all identities, but the values of few events; eight bytes of memory for each event.

    Conflicts are not checked. `events` and `rows` count all, `leaves` only the compared values.
    """
    found = Verification()
    sampled: list[tuple[str, str]] = []
    expected = np.fromiter(_read_published(truth, one_in, sampled), dtype=np.uint64)
    wanted = {identity: truth.winner(*identity) for identity in sampled}
    found.events = len(expected)
    seen: list[NDArray[np.uint64]] = []
    for path in sorted(Path(lake).glob("events/**/*.parquet")):
        found.files += 1
        seen.append(_file(path, one_in, wanted, found))
    rows = np.concatenate([np.zeros(0, np.uint64), *seen])
    found.rows = len(rows)
    events = np.unique(rows)
    for what, count in (
        ("doubled", len(rows) - len(events)),
        ("never published", len(np.setdiff1d(events, expected))),
        ("lost", len(np.setdiff1d(expected, events))),
    ):
        if count:
            found.problem(f"{what}: {count} events")
    check_rejects(Path(lake), truth, found, conflicts=False)
    return found


def _read_published(truth: Truth, one_in: int, sampled: list[tuple[str, str]]) -> Iterator[int]:
    for identity in truth.identities():
        number = _number(*identity)
        if number % one_in == 0:
            sampled.append(identity)
        yield number


def _number(org_key: str, event_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{org_key}\0{event_id}".encode(), digest_size=8).digest(), "big")


def _file(
    path: Path, one_in: int, wanted: dict[tuple[str, str], tuple[str, int, str]], found: Verification
) -> NDArray[np.uint64]:
    """Return the numbers of a file's rows; compare the values of rows in the sample."""
    file = pq.ParquetFile(path)
    keys = file.read(["org_id", "event_id"]).to_pydict()
    pairs = zip(keys["org_id"], keys["event_id"], strict=True)
    numbers = np.fromiter((_number((org_id or "").lower(), event_id) for org_id, event_id in pairs), dtype=np.uint64)
    taken = np.flatnonzero(numbers % np.uint64(one_in) == 0)
    if len(taken):
        for row, payload in with_payloads(file.read().take(taken)):
            check_row(row, payload, wanted, set(), found)
    return numbers
