"""Heads of any form give the same index on the fast path as event by event."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from pismo_lake.contracts.contract import Contract
from pismo_lake.decode.container import Plain
from pismo_lake.index import fast, make
from pismo_lake.settings.lake import DECIMAL_NAMES, FREE_FORM

KEYS = ["event_id", "domain", "event_type", "schema_version", "org_id", "cid", "timestamp"]
TEXTS = [None, "", 'a"b', "a\\u0041", "\\", "é", '{",', ',"data":{', "\x7f", "\n"]
VERSIONS = [None, True, 1.0, 10**20, -0, "v", "", "1"]


class Contracts(dict[tuple[str, str], Contract]):
    """A contract for each event type."""

    def of(self, domain: str, name: str) -> Contract:
        """Return the contract of an event type."""
        return self.setdefault((domain, name), Contract(free_form=FREE_FORM, decimals=DECIMAL_NAMES))


def event(chance: random.Random, number: int) -> str:
    """Return an event; three of four have a usual head."""
    values: dict[str, Any] = {
        "event_id": f"id{number}",
        "domain": chance.choice("ab"),
        "event_type": "t",
        "schema_version": chance.choice([1, 1, "1", 10]),
        "org_id": chance.choice(["TN", "tn-é", ""]),
        "cid": f"c{chance.randint(0, 999)}",
        "timestamp": chance.choice(["2026-03-01T22:55:51.189Z", "2026-03-01T22:55:51Z", "x"]),
    }
    keys, blank = list(KEYS), ""
    match chance.randrange(24):
        case 0:
            chance.shuffle(keys)
        case 1:
            keys.insert(chance.randrange(8), "trace")
            values["trace"] = chance.choice(["q", {"data": {"x": 1}}, None])
        case 2:
            values[chance.choice(["cid", "event_id", "org_id"])] = chance.choice(TEXTS)
        case 3:
            values["schema_version"] = chance.choice(VERSIONS)
        case 4:
            keys.remove(chance.choice(KEYS))
        case 5:
            blank = " "
    parts = [f"{json.dumps(key)}:{blank}{json.dumps(values[key], ensure_ascii=chance.random() < 0.3)}" for key in keys]
    if chance.random() < 0.02:
        parts.insert(chance.randrange(len(parts)), '"event_id":""')
    text = chance.choice(["x", "x", '}{"'])
    return f'{{{",".join(parts)},"data":{{"n":{number},"s":{json.dumps(text)}}}}}'


@pytest.mark.parametrize("seed", range(60))
def test_heads_of_any_form_give_the_index_of_the_careful_path(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "_SMALL_FILE", 0)
    monkeypatch.setattr(fast, "_FEW", 2)
    monkeypatch.setattr(fast, "_STEP", 3)
    chance, quick, careful = random.Random(seed), Contracts(), Contracts()
    for file in range(2):
        data = "".join(event(chance, number + 100 * file) for number in range(chance.randint(3, 60))).encode()
        found = make.index_file(Plain(data, "plain"), quick.of)
        assert any(True for _ in fast.quick_index(data, quick.of))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(make, "quick_index", lambda *_: ())
            wanted = make.index_file(Plain(data, "plain"), careful.of)
        assert found.table.equals(wanted.table)
        assert all(np.all(np.diff(rows.offsets) > 0) for rows in found.parsed)
