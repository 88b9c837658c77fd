"""Property: each value of a payload with repeated keys is once in a column or `_rescued`."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pismo_lake.contracts.contract import Contract
from pismo_lake.decode.envelope import parse_exact
from pismo_lake.decode.exact_json import dumps, loads
from pismo_lake.rows.flatten import EventBytes, flatten
from pismo_lake.settings.lake import DECIMAL_NAMES, FREE_FORM

if TYPE_CHECKING:
    from collections.abc import Iterator


class Pairs(list[tuple[str, Any]]):
    """An object in its spelling, which may repeat keys."""


KEYS = st.sampled_from(["a", "b", "amount", "metadata"])
SCALARS = st.sampled_from([None, True, False, 1, 2, Decimal("1.5"), Decimal("1E+30"), "x", "y"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(KEYS, inner), min_size=1, max_size=4).map(Pairs),
    max_leaves=12,
)
PAYLOADS = st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=5).map(Pairs)


def spelled(value: Any) -> str:
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{dumps(key)}:{spelled(item)}" for key, item in value) + "}"
    return "[" + ",".join(map(spelled, value)) + "]" if isinstance(value, list) else dumps(value)


def leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """Return single values that are not null, with their kinds: true is not 1."""
    if isinstance(value, Pairs):
        value = [item for _, item in value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif value is not None:
        number = isinstance(value, int | Decimal) and not isinstance(value, bool)
        yield ("number", Decimal(value)) if number else (type(value).__name__, value)


def unpacked(value: Any) -> Any:
    """Return columns with their JSON text parsed."""
    if isinstance(value, list):
        return [unpacked(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: loads(item) if key.endswith("metadata") and item is not None else unpacked(item)
        for key, item in value.items()
    }


@settings(max_examples=500, deadline=None)
@given(st.lists(PAYLOADS, min_size=1, max_size=4))
@example([Pairs([("metadata", Pairs([("a", 1), ("a", Pairs([("b", 2), ("b", "x")])), ("a", 1)]))])])
@example([Pairs([("a", [Pairs([("b", 1)])])]), Pairs([("a", [Pairs([("b", 1), ("b", 2)])])])])
def test_no_leaf_is_lost_or_doubled(payloads: list[Pairs]) -> None:
    contract = Contract(free_form=FREE_FORM, decimals=DECIMAL_NAMES)
    raws = [f'{{"data":{spelled(payload)}}}'.encode() for payload in payloads]
    for raw in raws:
        contract.learn(parse_exact(raw)["data"], {})
    rows = flatten(EventBytes(raws, [False] * len(raws)), contract).to_pylist()
    for payload, row in zip(payloads, rows, strict=True):
        found = [entry["value"] for entry in loads(row.pop("_rescued") or "[]")]
        found.append(unpacked(row))
        assert Counter(leaves(found)) == Counter(leaves(payload))
