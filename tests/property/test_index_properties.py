"""Properties: the fast and the slow path give the same index and teach contracts the same."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pismo_lake.contracts.columns import FastReader
from pismo_lake.contracts.contract import Contract
from pismo_lake.contracts.fit import parse_fitting, strings_in
from pismo_lake.decode import fast_split as quick_split
from pismo_lake.decode.container import Plain
from pismo_lake.decode.exact_json import dumps
from pismo_lake.decode.timestamps import timestamp_us, timestamps_us
from pismo_lake.index import fast as quick_index
from pismo_lake.index import make as index
from pismo_lake.paths import event_name
from pismo_lake.rows.flatten import EventBytes, flatten
from pismo_lake.settings.lake import DECIMAL_NAMES, FREE_FORM

THOROUGH = settings(
    max_examples=int(os.environ.get("PISMO_FUZZ_EXAMPLES", "400")), deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip

TEXTS = st.sampled_from(
    ["", "x", "}{", '}{"a":', '"', "\\", '\\"', "{}", "{ }", "é", "\U0001f600", "\x07", "a,b", "1.5"]
)
NUMBERS = st.sampled_from(
    [0, 1, -1, 2**63, -(2**63), Decimal("1.5"), Decimal("1E+3"), Decimal("1E+20"), Decimal("99999999999999999999.5")]
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
KEYS = st.sampled_from(["a", "b", "amount", "metadata", "domain", "event_type", "schema_version", "event_id", "é"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
STAMPS = st.sampled_from(
    [
        "2026-03-01T00:00:00Z",
        "2026-03-01T00:00:00.123456789Z",
        "2026-03-01T00:00:00-03:00",
        "2026-03-01T00:00:00",
        "no",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
    ]
)
ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "event_id": st.sampled_from(["e-1", "e-2", "", 7, None]),
        "domain": st.sampled_from(["pix", "pix", "cards", "do\\main", 3]),
        "event_type": st.sampled_from(["paid", "paid", "paid-1", "a" * 60, None]),
        "schema_version": st.sampled_from([1, 1, "1", "v2", "1,2", 1.5, None, True]),
        "org_id": st.sampled_from(["TN-1", "tn-1", None, 5]),
        "cid": st.sampled_from(["c", None, {}]),
        "timestamp": st.one_of(STAMPS, st.none(), st.just(5)),
        "extra": VALUES,
        "offset": VALUES,
        "form": VALUES,
        "data": st.one_of(st.dictionaries(KEYS, VALUES, max_size=4), VALUES),
    },
)
USUAL = {"event_id": "e-0", "domain": "pix", "event_type": "paid", "schema_version": 1, "org_id": "TN-1"}
EVENTS = st.builds(
    lambda odd, names, first: (names | odd) if first else (odd | names | odd),
    ENVELOPES,
    st.one_of(st.just(USUAL), st.just({})),
    st.booleans(),
)
FEEDS = st.lists(st.sampled_from(range(8)), min_size=1, max_size=30)
JOINTS = st.sampled_from(["", "", "", "\n", " ", ",", "\r\n\0"])


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files go the quick way too, in small groups."""
    monkeypatch.setattr(quick_index, "_SMALL_FILE", 0)
    monkeypatch.setattr(quick_index, "_FEW", 2)
    monkeypatch.setattr(quick_index, "_STEP", 3)


class Contracts(dict[tuple[str, str], Contract]):
    """A contract for each event type."""

    def of(self, domain: str, name: str) -> Contract:
        return self.setdefault((domain, name), Contract(free_form=FREE_FORM, decimals=DECIMAL_NAMES))

    def learned(self) -> dict[tuple[str, str], Any]:
        return {name: (item.to_json(), item.changes) for name, item in self.items() if item.changes}


def assert_same(files: list[bytes]) -> int:
    """Index the files both ways, one after the other; how many the quick way took."""
    quick, careful, taken = Contracts(), Contracts(), 0
    for data in files:
        found = index.index_file(Plain(data, "plain"), quick.of)
        taken += any(True for _ in quick_index.quick_index(data, quick.of))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(index, "quick_index", lambda *_: ())
            wanted = index.index_file(Plain(data, "plain"), careful.of)
        assert found.table.to_pylist() == wanted.table.to_pylist()
        assert found.table.equals(wanted.table)
        for total in ("events", "rejects", "min_timestamp", "max_timestamp", "untimed"):
            assert getattr(found, total) == getattr(wanted, total)
        assert quick.learned() == careful.learned()
    return taken


def assert_same_rows(data: bytes) -> None:
    """Check that the index of a file's events leads to the rows of the slow path."""
    contracts = Contracts()
    contracts_of: dict[tuple[str, str], list[dict[str, Any]]] = {}
    indexed = index.index_file(Plain(data, "plain"), contracts.of)
    table = indexed.table
    for row in table.filter(pc.is_null(table["reason"])).to_pylist():
        name = (row["domain"], event_name(row["event_type"], row["schema_version"]))
        contracts_of.setdefault(name, []).append(row)
    for name, rows in contracts_of.items():
        raws = [data[row["offset"] : row["offset"] + row["length"]] for row in rows]
        cuts = np.array([row["payload_at"] or 0 for row in rows])
        regular, contract = [row["regular"] for row in rows], contracts.of(*name)
        found = flatten(EventBytes(raws, regular, cuts), contract)
        wanted = flatten(EventBytes(raws, [False] * len(raws)), contract)
        assert found.to_pylist() == wanted.to_pylist()
        # so do the payloads that were parsed for the index, though the contract has learned since
        offsets = np.array([row["offset"] for row in rows])
        mine = [parsed for parsed in indexed.parsed if (parsed.domain, parsed.name) == name]
        taken = [parsed.at(offsets) for parsed in mine if FastReader(contract).takes(parsed.payload.schema)]
        for here, _ in taken:
            assert all(regular[place] for place in here)
            raws = [b"" if place in here else raw for place, raw in enumerate(raws)]
        assert flatten(EventBytes(raws, regular, cuts, taken), contract).equals(found)


def text_of(event: dict[str, Any], *, spaced: bool = False) -> str:
    text = dumps(event)
    return json.dumps(json.loads(text), ensure_ascii=False, indent=1) if spaced else text


@THOROUGH
@given(st.lists(EVENTS, min_size=1, max_size=8), FEEDS, JOINTS, st.booleans())
def test_both_ways_index_alike(kinds: list[dict[str, Any]], feed: list[int], joint: str, spaced: bool) -> None:
    texts = [text_of(kinds[number % len(kinds)], spaced=spaced) for number in feed]
    data = joint.join(texts).encode("utf-8", "surrogatepass")
    # the second file meets contracts that know its events
    assert_same([data, data])
    assert_same_rows(data)


@THOROUGH
@given(
    st.lists(EVENTS, min_size=1, max_size=4),
    FEEDS,
    st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=3)), min_size=1, max_size=2),
    st.booleans(),
)
def test_both_ways_index_damaged_files_alike(
    kinds: list[dict[str, Any]], feed: list[int], damages: list[tuple[int, bytes]], cut: bool
) -> None:
    whole = "".join(text_of(kinds[number % len(kinds)]) for number in feed).encode()
    torn = bytearray(whole)
    for place, junk in damages:
        at = place % len(torn) if torn else 0
        torn[at : at + (3 if cut else len(junk))] = junk
    assert_same([whole, bytes(torn), whole])


@THOROUGH
@given(
    st.lists(
        st.one_of(
            st.none(),
            STAMPS,
            st.datetimes().map(lambda stamp: f"{stamp.isoformat()}Z"),
            st.from_regex(r"[012][0-9]{3}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{0,9})?(Z|[+-][0-9]{2}:?[0-9]{2})", fullmatch=True),  # noqa: E501
        ),
        min_size=1,
        max_size=4,
    )
)  # fmt: skip
def test_times_are_read_alike_one_by_one_and_together(texts: list[str | None]) -> None:
    alone = [None if text is None else timestamp_us(text) for text in texts]
    assert timestamps_us(pa.array(texts, pa.string())).cast(pa.int64()).to_pylist() == alone


def _event(data: str, version: str = "1", more: str = "") -> str:
    head = f'{{"event_id":"e","schema_version":{version},"domain":"pix","event_type":"paid","org_id":"TN-1"'
    return f'{head},"cid":"c","timestamp":"2026-03-01T00:00:00Z"{more},"data":{data}}}'


ODD = {
    "a number in quotes": _event('{"amount":"1.5"}'),
    "NaN": _event('{"amount":NaN}'),
    "an endless number": _event('{"amount":1e400}'),
    "an exponent that no decimal has": _event('{"amount":1e99999999999999999999}'),
    "an exponent as far below": _event('{"amount":-1.5e-99999999999999999999,"n":0e99999999999999999999}'),
    "an empty object": _event('{"amount":1.5,"inner":{}}'),
    "an empty object with a blank": _event('{"amount":1.5,"inner":{ }}'),
    "the same key twice": _event('{"amount":1.5,"amount":2.5}'),
    "an id twice": _event('{"amount":1.5}', more=',"event_id":"f"'),
    "a fraction for an int": _event('{"amount":1.5,"n":1.0}'),
    "a lone surrogate": _event('{"amount":1.5,"text":"\\ud800"}'),
    "braces in a string": _event('{"amount":1.5,"text":"}{"}'),
    "an event in a string": _event('{"amount":1.5,"text":"}{\\"event_id\\":\\"x\\""}'),
    "another version": _event('{"amount":1.5}', version='"1"'),
    "a broken version": _event('{"amount":1.5}', version="1.0"),
    "a version of minus nothing": _event('{"amount":1.5}', version="-0"),
    "a version with an exponent": _event('{"amount":1.5}', version="1e0"),
    "a version with a zero before it": _event('{"amount":1.5}', version='"01"'),
    "a version in letters": _event('{"amount":1.5}', version='"v2"'),
    "no version": _event('{"amount":1.5}', version="null"),
    "a new key before the payload": _event('{"amount":1.5}', more=',"new":1'),
    "a payload in the envelope": _event('{"amount":1.5}', more=',"new":{"x":1,"data":{"amount":2}}'),
    "a key that ends like the payload's": _event('{"amount":1.5}', more=',"x\\",\\"data":{"amount":2}'),
    "two payloads": _event('{"amount":1.5}', more=',"data":{"amount":2}'),
    "a key after the payload": _event('{"amount":1.5},"cid":"d"'),
    "another key of the same length": _event('{"amount":1.5}').replace('"cid"', '"cix"'),
    "no cid": _event('{"amount":1.5}').replace('"c"', "null"),
    "an escape in the envelope": _event('{"amount":1.5}').replace('"c"', '"\\u0063"'),
    "an escape in an envelope's key": _event('{"amount":1.5}').replace('"cid"', '"\\u0063id"'),
    "blanks in the envelope": _event('{"amount":1.5}').replace(",", ", "),
    "the payload first": _event('{"amount":1.5}').replace('{"event_id"', '{"data":{"amount":2},"event_id"', 1),
    "no payload": _event('{"amount":1.5}').replace(',"data":{"amount":1.5}', ""),
    "a null payload": _event("null"),
    "names inside the payload": _event('{"amount":1.5}').replace('"data":{', '"data":{"domain":"other",'),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("at", [0, 20, 39])
def test_one_odd_event_among_usual_ones(kind: str, at: int) -> None:
    usual = [_event(f'{{"amount":{n}.25,"n":{n},"text":"t","inner":{{"x":null}}}}') for n in range(40)]
    clean = "".join(usual).encode()
    usual[at] = ODD[kind]
    odd = "".join(usual).encode()
    taken = assert_same([clean, odd, clean])
    assert_same_rows(odd)
    # the split is refused only if a value ends the parsing of its event
    assert taken == (2 if kind == "NaN" else 3)


@pytest.mark.parametrize("blanks", ["\n", ""], ids=["one a line", "one in all"])
def test_empty_objects_are_looked_for_once(blanks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    odd_quotes = quick_split._has_odd_quotes

    def counted(some: bytes) -> bool:
        looked_at.append(len(some))
        return odd_quotes(some)

    monkeypatch.setattr(quick_split, "_has_odd_quotes", counted)
    data = blanks.join(_event(f'{{"n":{n},"text":"\\"{{}}","inner":{{ }}}}') for n in range(400)).encode()
    found = quick_split.find_pieces(data)
    assert found is not None
    assert found.hollow.all()
    assert 0 < sum(looked_at) <= len(data)


def test_spaced_events_need_no_look_of_their_own() -> None:
    contracts = Contracts()
    texts = [
        json.dumps(json.loads(_event(f'{{"amount":{n}.25,"text":"{{ }}","in":{{"x":1}}}}')), indent=2)
        for n in range(400)
    ]
    data = "\n".join(texts).encode()
    assert assert_same([data, data]) == 2
    index.index_file(Plain(data, "plain"), contracts.of)
    (found,) = quick_index.quick_index(data, contracts.of)
    assert found.others == []


def test_usual_events_need_no_look_of_their_own() -> None:
    contracts = Contracts()
    data = "".join(_event(f'{{"amount":{n}.25,"text":"}}{{"}}') for n in range(400)).encode()
    index.index_file(Plain(data, "plain"), contracts.of)
    (found,) = quick_index.quick_index(data, contracts.of)
    assert found.others == []
    assert found.places.tolist() == list(range(400))


def _strings(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(_strings, value.values()))
    return sum(map(_strings, value)) if isinstance(value, list) else isinstance(value, str)


COLONS = st.sampled_from([":", ":x", "a:", '":', '\\":', "\\", '"'])


@THOROUGH
@given(st.lists(st.dictionaries(KEYS | COLONS, VALUES | COLONS, min_size=1), min_size=1), st.booleans())
def test_strings_are_counted_or_too_many(objects: list[dict[str, Any]], spaced: bool) -> None:
    texts = [text_of(each, spaced=spaced) if spaced else dumps(each) for each in objects]
    found = strings_in("\n".join(texts).encode())
    wanted = _strings(objects)
    assert found is None or found == wanted or (spaced and found > wanted)


@THOROUGH
@given(st.lists(NUMBERS | st.none(), min_size=3), TEXTS | COLONS, st.data())
def test_a_number_in_quotes_is_never_kept(numbers: list[Any], text: str, data: st.DataObject) -> None:
    contract = Contract(free_form=FREE_FORM, decimals=DECIMAL_NAMES)
    contract.learn({"amount": 1.5, "text": "t"}, {})
    place = data.draw(st.integers(0, len(numbers) - 1))
    quoted = [{"data": {"amount": number, "text": text}} for number in numbers]
    quoted[place]["data"]["amount"] = "1.5"
    assert parse_fitting(contract, "\n".join(map(dumps, quoted)).encode(), len(quoted)) is None


def test_payloads_are_kept_with_their_digits() -> None:
    contracts = Contracts()
    data = "".join(_event(f'{{"amount":{n}.25,"text":"}}{{","list":["a:","b"]}}') for n in range(400)).encode()
    index.index_file(Plain(data, "plain"), contracts.of)
    (parsed,) = index.index_file(Plain(data, "plain"), contracts.of).parsed
    assert [row["amount"] for row in parsed.payload.column("data").to_pylist()] == [
        Decimal(n) + Decimal("0.25") for n in range(400)
    ]
