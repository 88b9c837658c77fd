"""A lake whose contract changed five times, an hour at a time, for those who read it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.lakes import event, key

if TYPE_CHECKING:
    from tests.lakes import LakeUnderTest

VERSIONS: list[dict[str, Any]] = [
    {"id": 1},
    {"id": 2, "amount": Decimal("0.10")},
    {"id": 3, "payer": {"name": "José"}},
    {"id": 4, "n": 7, "tags": ["a", "b"]},
    # a column that was int64 becomes decimal, in the files written before too
    {"id": 5, "n": Decimal("1.000000000000000001"), "Amount": "other case"},
    {"id": 6, "amount": Decimal("12345678901234567890.123456789012345678"), "lines": [{"value": Decimal("2.50")}]},
]
IDS = [1, 2, 3, 4, 5, 6]
AMOUNTS = [None, Decimal("0.10"), None, None, None, Decimal("12345678901234567890.123456789012345678")]
NUMBERS = [None, None, None, Decimal(7), Decimal("1.000000000000000001"), None]


def evolve(lake: LakeUnderTest) -> str:
    """Land and build the versions; the event type's folder."""
    for hour, data in enumerate(VERSIONS):
        lake.land({key(hour): event(f"e-{hour}", data)})
        lake.build()
    (found,) = (lake.root / "lake" / "events").glob("domain=*/event_type=*")
    assert len({path.stat().st_size for path in found.rglob("*.parquet")}) == len(VERSIONS)
    return str(found)
