"""Property: an index that was made before its file's turn is taken only if it is the one of the file's turn."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.lakes import LakeUnderTest, event

from pismo_lake.contracts import contract
from pismo_lake.contracts.store import ContractStore
from pismo_lake.decode.container import Plain
from pismo_lake.index import fast
from pismo_lake.index.ahead import Ahead, index_early
from pismo_lake.index.make import MadeIndex, make_index
from pismo_lake.ledger.tables import contract_changes, contracts

if TYPE_CHECKING:
    from pathlib import Path

    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings

THOROUGH = settings(
    max_examples=int(os.environ.get("PISMO_FUZZ_EXAMPLES", "300")), deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
NUMBER = itertools.count()
KEYS = st.sampled_from(["a", "A", "b", "metadata"])
VALUES = st.recursive(
    st.sampled_from([None, True, 1, Decimal("1.5"), "x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=4,
)
PAYLOADS = st.tuples(st.sampled_from(["one", "two"]), st.dictionaries(KEYS, VALUES, max_size=3), st.booleans())
FILES = st.lists(st.lists(PAYLOADS, min_size=1, max_size=4), min_size=2, max_size=4)


def one(*payloads: dict[str, Any]) -> list[tuple[str, dict[str, Any], bool]]:
    """Return a file of events of one type."""
    return [("one", payload, False) for payload in payloads]


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LakeUnderTest:
    """Return a lake whose ledger has the contracts of all examples; small files go the fast way too."""
    monkeypatch.setattr(fast, "_SMALL_FILE", 0)
    monkeypatch.setattr(fast, "_FEW", 2)
    monkeypatch.setattr(fast, "_STEP", 3)
    # small limits are reached by few events
    monkeypatch.setattr(contract, "MAX_COLUMNS", 6)
    monkeypatch.setattr(contract, "MAX_KEYS", 3)
    monkeypatch.setattr(contract, "MAX_NOTED", 2)
    return LakeUnderTest(tmp_path)


def body(file: list[tuple[str, dict[str, Any], bool]]) -> bytes:
    """Return a file of these events: type, payload, and whether the payload is beside `data` too."""
    return b"".join(
        event(f"e-{number}", data, event_type=name, **({"extra": data} if beside else {}))
        for number, (name, data, beside) in enumerate(file)
    )


def learned(ledger: Ledger, settings: LakeSettings) -> tuple[list[Any], list[Any]]:
    """Return the contracts of a lake and the record of their changes."""
    table, changes = contracts.c, contract_changes.c
    trees = select(table.event_type, table.version, table.tree).where(table.lake == settings.lake)
    steps = select(
        changes.event_type, changes.version, changes.path, changes.before, changes.after, changes.first_file,
        changes.first_offset,
    ).where(changes.lake == settings.lake)  # fmt: skip
    with ledger.engine.connect() as connection:
        found = connection.execute(trees.order_by(table.event_type)).all()
        return [tuple(row) for row in found], [
            tuple(row) for row in connection.execute(steps.order_by(changes.event_type, changes.id))
        ]


@THOROUGH
@given(FILES, st.lists(st.integers(0, 3), min_size=4, max_size=4))
# the last file is indexed before the second one, which gives items, or a field of items, to a list that is empty here
@example([one({"b": 1}), one({"a": [1]}), one({"a": []}, {"a": [1]})], [0, 0, 1, 0])
@example([one({"a": [{"b": None}]}), one({"a": [{"b": None, "c": 1}]}), one({"a": [{"b": None}]})], [0, 0, 1, 0])
def test_an_early_index_is_that_of_the_turn(
    ledger: LakeUnderTest, files: list[list[tuple[str, dict[str, Any], bool]]], begun: list[int]
) -> None:
    raws = [body(file) for file in files]
    root = f"{ledger.root}/{next(NUMBER)}"
    in_turn, early = (replace(ledger.settings, lake=f"{root}/{name}") for name in ("in-turn", "early"))
    store = ContractStore(ledger.ledger, in_turn)
    wanted = [make_index(raw, f"f{number}", store).found for number, raw in enumerate(raws)]

    store, worker = ContractStore(ledger.ledger, early), ContractStore(ledger.ledger, early)
    ahead: dict[int, Ahead] = {}
    for number, raw in enumerate(raws):
        # each file is indexed early, after as many files as were drawn
        for later in range(number, len(raws)):
            if min(begun[later], later) == number:
                found, versions, taught = index_early(Plain(raws[later], "plain"), worker)
                ahead[later] = Ahead(MadeIndex(found, len(raw), "plain"), "", versions, taught)
        if ahead[number].is_taken(store, f"f{number}"):
            assert ahead[number].index.found.table.equals(wanted[number].table)
        else:
            make_index(raw, f"f{number}", store)
    assert learned(ledger.ledger, early) == learned(ledger.ledger, in_turn)
