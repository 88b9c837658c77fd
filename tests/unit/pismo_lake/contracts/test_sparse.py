"""Lists whose items together have many fields and use few of them get no columns for these fields."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from tests.lakes import LakeUnderTest, event

from pismo_lake.contracts.columns import payload_columns
from pismo_lake.contracts.contract import Contract
from pismo_lake.contracts.describe import changes_of
from pismo_lake.contracts.sparse import CELLS_A_VALUE, FEWEST_CELLS
from pismo_lake.contracts.tree import Kind
from pismo_lake.settings.lake import DECIMAL_NAMES, FREE_FORM

OPTIONS: dict[str, Any] = {"free_form": FREE_FORM, "decimals": DECIMAL_NAMES}
SIZE = int(FEWEST_CELLS**0.5) + 1
SPARSE = [{f"k{number}": number} for number in range(SIZE)]


def width(contract: Contract) -> int:
    """Return how many arrays the values of a contract need."""

    def leaves(kind: pa.DataType) -> int:
        if pa.types.is_list(kind):
            return leaves(kind.value_type)
        return sum(leaves(field.type) for field in kind) if pa.types.is_struct(kind) else 1

    return sum(leaves(column.type) for column in payload_columns(contract))


@pytest.mark.parametrize(
    "items",
    [
        SPARSE,
        [{"a": item} for item in SPARSE],
        [[item] for item in SPARSE],
        [{"a": [item]} for item in SPARSE],
        [{f"k{number % 299}": 1} for number in range(SIZE * 2)],
        [{"a": {f"k{number}": 1 for number in range(200)}}, *[{"b": 1}] * SIZE * 3],
        [{f"k{number}": 1 for number in range(200)}, *[None] * SIZE * 3],
    ],
    ids=["fields", "objects", "lists", "lists-in-objects", "few-keys", "one-wide", "nulls"],
)
def test_a_sparse_list_has_json_items(items: list[Any]) -> None:
    contract = Contract(**OPTIONS)
    assert not contract.learn({"items": items}, {})
    assert width(contract) == 1
    item = contract.data.fields["items"].item
    assert item is not None
    assert item.kind is Kind.JSON


@pytest.mark.parametrize(
    "items",
    [
        SPARSE[:-2],
        [{f"k{number}": 1 for number in range(250)}] * (FEWEST_CELLS // 250 + 1),
        [{f"k{number * CELLS_A_VALUE + n % CELLS_A_VALUE}": 1 for number in range(15)} for n in range(1200)],
        [{"metadata": item} for item in SPARSE],
        list(range(FEWEST_CELLS + 1)),
    ],
    ids=["short", "dense", "at-the-limit", "free-form", "numbers"],
)
def test_other_lists_are_learned(items: list[Any]) -> None:
    contract = Contract(**OPTIONS)
    contract.learn({"items": items}, {})
    assert not contract.data.fields["items"].closed


def test_a_known_list_learns_no_more_after_a_sparse_one(lake: LakeUnderTest) -> None:
    first = event("e-1", {"items": [{"a": 1, "n": None}]})
    sparse = event("e-2", {"items": [{"a": 2, "n": {"x": 1}}, *SPARSE]})
    later = event("e-3", {"items": [{"a": 3, "b": 4, "k7": 5}], "other": [{"c": 1}]})
    lake.put(first, sparse, later)
    rows = {row["event_id"]: row for row in lake.rows()}
    assert rows["e-2"]["data__items"][:2] == [{"a": 2, "n": '{"x":1}'}, {"a": None, "n": None}]
    rescued = json.loads(rows["e-2"]["_rescued"])
    assert [each["value"] for each in rescued] == list(range(SIZE))
    assert rescued[-1]["path"] == f"/data/items/{SIZE}/k{SIZE - 1}"
    assert rows["e-3"]["data__items"] == [{"a": 3, "n": None}]
    assert [each["value"] for each in json.loads(rows["e-3"]["_rescued"])] == [4, 5]
    assert rows["e-3"]["data__other"] == [{"c": 1}]
    changes = [tuple(change[:3]) for change in changes_of(lake.ledger, lake.settings.lake, "pix", "pix_in-1")]
    assert changes.count(("/data/items", "list", "closed list")) == 1


def test_a_closed_list_stays_closed_when_it_is_saved() -> None:
    contract = Contract(**OPTIONS)
    contract.learn({"items": [{"a": 1}]}, {})
    earlier = Contract.from_json(contract.to_json(), **OPTIONS)
    contract.learn({"items": SPARSE}, {})
    saved = Contract.from_json(contract.to_json(), **OPTIONS)
    assert saved.data == contract.data
    # an index that was made under the earlier one has to be made again
    assert not saved.extends(earlier)
    saved.learn({"items": [{"b": 1}]}, {})
    assert width(saved) == 1
