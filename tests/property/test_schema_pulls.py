"""Properties of pulls: repeated, they do nothing; no column changes its type; no schema stops to be usable."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.lakes import LakeUnderTest, event
from tests.published import PIX, Puller, publish

from pismo_lake.contracts.columns import payload_columns
from pismo_lake.contracts.json_schema import SchemaFolder, forget_schemas
from pismo_lake.contracts.store import ContractStore
from pismo_lake.contracts.validator import validator_of
from pismo_lake.errors import ConfigError
from pismo_lake.rows.schema import typed_columns

KEYS = st.sampled_from(["a", "b", "c", "A", "é", ""])
SCALARS = st.sampled_from([
    {"type": "integer"}, {"type": "number"}, {"type": "string"}, {"type": ["boolean", "null"]}, {}, True,
    {"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}, {"enum": ["x", None]},
    {"$ref": "../common/types.json#/definitions/t"}, {"$ref": "#"}, {"$ref": "gone.json"}, {"type": "text"},
])  # fmt: skip
SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.dictionaries(KEYS, inner, max_size=3).map(lambda fields: {"type": "object", "properties": fields}),
        inner.map(lambda item: {"type": "array", "items": item}),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: {"anyOf": parts}),
    ),
    max_leaves=6,
)
PAYLOAD = st.dictionaries(KEYS, SCHEMAS, max_size=4).map(lambda fields: {"type": "object", "properties": fields})
CONTENTS = st.one_of(PAYLOAD, PAYLOAD, SCHEMAS, st.sampled_from([b"", b"{", b"[]", b'{"\xff": 1}']))
NAMES = st.sampled_from([PIX, "pix/pix-in-1.json", "pix/other-1.json", "cards/x-2.json", "main-event.json"])
SHARED = SCHEMAS.map(lambda schema: {"definitions": {"t": schema}})
TREES = st.tuples(st.dictionaries(NAMES, CONTENTS, max_size=4), SHARED).map(
    lambda found: found[0] | {"common/types.json": found[1]}
)
VALUES = st.recursive(
    st.sampled_from([1, 1.5, "x", "2026-03-01", True, None]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=4,
)


def types(home: Puller) -> dict[str, pa.DataType]:
    """Return the types of all columns that the lake's contracts have now, typed ones too."""
    forget_schemas()
    store = ContractStore(home.lake.ledger, home.lake.settings)
    found: dict[str, pa.DataType] = {}
    for domain, name in store.names():
        contract = store.of(domain, name)
        found |= {f"{name} {column.name}": column.type for column in payload_columns(contract)}
        found |= {f"{name} {field.name}": field.type for field, _ in typed_columns(contract)}
    return found


def fits(before: pa.DataType, after: pa.DataType) -> bool:
    """Return whether a type is the same, but for more fields in the items of lists."""
    if pa.types.is_list(before) and pa.types.is_list(after):
        return fits(before.value_type, after.value_type)
    if pa.types.is_struct(before) and pa.types.is_struct(after):
        names = {field.name for field in after}
        return all(field.name in names and fits(field.type, after.field(field.name).type) for field in before)
    return bool(before == after)


def usable(home: Puller) -> set[str]:
    """Return the schemas of the folder that can be used."""
    folder, found = SchemaFolder.open(home.folder), set()
    for name in folder.names.values():
        try:
            folder.payload(name)
            validator_of(folder, name)
        except ConfigError:
            continue
        found.add(name)
    return found


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(KEYS, VALUES, max_size=4), st.lists(TREES, min_size=1, max_size=3))
def test_pulls(payload: dict[str, Any], trees: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        home = Puller(LakeUnderTest(Path(root)))
        home.lake.put(event("e-1", payload))
        for tree in trees:
            shutil.rmtree(home.source, ignore_errors=True)
            publish(home.source, tree)
            before, could = types(home), usable(home)
            try:
                pulled = home.pull()
            except ConfigError:
                assert not any(name.count("/") == 1 for name in tree)
                continue
            after = types(home)
            wrong = {name: kind for name, kind in before.items() if name not in after or not fits(kind, after[name])}
            assert wrong == {}
            assert could <= usable(home)
            assert home.schemas().keys() <= set(tree).union(*trees)
            json.dumps(pulled.to_json())
            files = home.files()
            again = home.pull()
            assert (again.news, again.counts()["written"], home.files()) == ((), 0, files)
