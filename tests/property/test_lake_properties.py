"""Properties: no value is lost, order does not matter, and repeating changes nothing."""

from __future__ import annotations

import json
import os
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.lakes import LakeUnderTest, event
from tests.rebuilt import item_rows, payload_of, plain

from pismo_lake.contracts.contract import Contract
from pismo_lake.contracts.lists import child_columns, list_name
from pismo_lake.contracts.names import SEPARATOR, column_path, column_segment
from pismo_lake.decode.envelope import parse, parse_exact
from pismo_lake.decode.exact_json import dumps, loads
from pismo_lake.decode.heads import cut_of
from pismo_lake.decode.split import split
from pismo_lake.index.dedupe import _winners
from pismo_lake.paths import items_path
from pismo_lake.privacy.columns import protect
from pismo_lake.privacy.redact import Redactor
from pismo_lake.rows.child_tables import child_tables
from pismo_lake.rows.conform import Conformed
from pismo_lake.rows.flatten import EventBytes, flatten
from pismo_lake.rows.schema import ENVELOPE_SCHEMA, SOURCE_SCHEMA, count_field
from pismo_lake.settings.contracts import EVOLVING, ContractRules
from pismo_lake.settings.lake import DECIMAL_NAMES, FREE_FORM
from pismo_lake.settings.privacy import Privacy, PrivacyKey
from pismo_lake.settings.rules import Action, Rule
from pismo_sandbox.check.truth import Copy, Truth
from pismo_sandbox.check.verify import Verification, _check_value, verify

KEYS = st.one_of(
    st.sampled_from(["a", "b", "A", "amount", "metadata", "x__y", "", "é", "a.b", "_lead", "trail_"]),
    st.text(max_size=4).filter(lambda text: "\0" not in text),
)
NUMBERS = st.one_of(
    st.integers(),
    st.integers(-5, 5),
    st.decimals(allow_nan=False, allow_infinity=False, places=6),
    st.sampled_from([Decimal("0.1"), Decimal("1E+3"), Decimal("1E-19"), Decimal("-0.0"), 2**63, -(2**63), 10**20]),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=6).filter(lambda text: "\0" not in text))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
PAYLOADS = st.dictionaries(KEYS, VALUES, max_size=6)
THOROUGH = settings(
    max_examples=int(os.environ.get("PISMO_FUZZ_EXAMPLES", "250")), deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
ROW_SCHEMA = pa.schema([*ENVELOPE_SCHEMA, *SOURCE_SCHEMA])
SOURCE = {"event_type_text": "pix_in", "_source_delivery": "test", "_source_file": "f", "_source_offset": 0}
BRIEF = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def raw_events(payloads: list[dict[str, Any]]) -> list[bytes]:
    return [event(f"e-{number}", payload) for number, payload in enumerate(payloads)]


def learned(
    payloads: list[dict[str, Any]], rules: ContractRules = EVOLVING
) -> tuple[list[bytes], Contract, list[bool]]:
    """Return the payloads' events, their contract, and which of them may take the fast path."""
    raws = raw_events(payloads)
    contract = Contract(free_form=FREE_FORM, decimals=DECIMAL_NAMES, rules=rules)
    regular = []
    for raw in raws:
        parsed, strict = parse(raw)
        regular.append(contract.learn(parsed["data"], {}) and strict)
    return raws, contract, regular


def compare(payload: Any, row: dict[str, Any], found: Verification) -> None:
    """Yield every value of a payload with its column, or with its rescued value."""
    rescued: dict[str, list[Any]] = {}
    for entry in json.loads(row["_rescued"], parse_float=Decimal) if row["_rescued"] else ():
        rescued.setdefault(entry["path"], []).append(entry["value"])
    columns = {column_path(name): value for name, value in row.items() if value is not None and name != "_rescued"}
    _check_value(payload, ("data",), columns, rescued, "event", found)


@THOROUGH
@example([{"a": [{"a": {"a": None}, "b": False}]}])
@example([{"a": [{"b": 1}, {"b": {"c": Decimal("1E+3")}}, {}, None, "x"]}])
@given(st.lists(PAYLOADS, min_size=1, max_size=6))
def test_no_leaf_is_lost(payloads: list[dict[str, Any]]) -> None:
    """Every value of every payload is in its column, exactly, or in `_rescued`."""
    raws, contract, regular = learned(payloads)
    table = flatten(EventBytes(raws, regular), contract)
    found = Verification()
    for raw, row in zip(raws, table.to_pylist(), strict=True):
        compare(json.loads(raw, parse_float=Decimal)["data"], row, found)
    assert found.problems == []


@THOROUGH
@given(st.lists(PAYLOADS, min_size=1, max_size=6), st.sampled_from([(), ("**",), ("**/a", "b")]))
def test_payloads_come_back_from_rows(payloads: list[dict[str, Any]], lists_apart: tuple[str, ...]) -> None:
    """Flattened, lists apart or not, and put together again: the same payload, value for value."""
    raws, contract, regular = learned(payloads, ContractRules(child_tables=lists_apart))
    table = flatten(EventBytes(raws, regular), contract)
    rows = pa.Table.from_pylist([{"event_id": f"e-{at}", **SOURCE} for at in range(len(raws))], ROW_SCHEMA)
    names = ("pix", "pix_in-1")
    tables = {
        column.name: [
            row
            for folder, found in child_tables(rows, table, contract, None, names, "2026-03-01")
            if folder == items_path("pix", "pix_in-1", list_name(column), "2026-03-01")
            for row in found.to_pylist()
        ]
        for column in child_columns(contract)
    }
    for number, (payload, row) in enumerate(zip(payloads, table.to_pylist(), strict=True)):
        lengths = {
            count_field(c).name: None if row[c.name] is None else len(row[c.name]) for c in child_columns(contract)
        }
        whole = row | lengths | {"event_id": f"e-{number}"}
        assert plain(payload_of(whole, contract, item_rows(tables))) == plain(payload)


@THOROUGH
@given(st.lists(PAYLOADS, min_size=1, max_size=6))
def test_the_fast_and_the_exact_road_give_the_same_rows(payloads: list[dict[str, Any]]) -> None:
    raws, contract, regular = learned(payloads)
    fast = flatten(EventBytes(raws, regular), contract)
    exact = flatten(EventBytes(raws, [False] * len(raws)), contract)
    cuts = [cut_of(raw, loads(raw.decode())) for raw in raws]
    assert all(cut or not isinstance(payload, dict) for cut, payload in zip(cuts, payloads, strict=True))
    headless = flatten(EventBytes(raws, regular, np.array(cuts, dtype=np.int64)), contract)
    assert fast.to_pylist() == exact.to_pylist() == headless.to_pylist()
    assert fast.schema == exact.schema == headless.schema


ACTIONS = st.sampled_from([action for action in Action if action is not Action.KEEP])
RULES = st.lists(
    st.builds(
        Rule, st.sampled_from(["**/a", "b", "**/amount", "metadata", "*/é", "x__y", "A/**/b", "**/_lead"]), ACTIONS
    ),
    max_size=3,
)


@THOROUGH
@given(st.lists(PAYLOADS, min_size=1, max_size=5), RULES, st.booleans())
def test_columns_hold_what_a_policy_leaves_of_a_payload(
    payloads: list[dict[str, Any]], rules: list[Rule], card_numbers: bool
) -> None:
    """On each path, in each column or in `_rescued`, a value is redacted like in the payload."""
    privacy = Privacy("any", tuple(rules), card_numbers, PrivacyKey("k1", b"a secret of some length"))
    raws, contract, regular = learned(payloads)
    table = protect(flatten(EventBytes(raws, regular), contract), contract, privacy, "pix/pix_in-1")
    redactor, found = Redactor(privacy, "pix/pix_in-1"), Verification()
    for raw, row in zip(raws, table.to_pylist(), strict=True):
        compare(redactor.value(parse_exact(raw)["data"], ()), row, found)
    assert found.problems == []


@THOROUGH
@given(VALUES)
def test_json_text_round_trips_digit_for_digit(value: Any) -> None:
    assert loads(dumps(value)) == value


@THOROUGH
@given(st.lists(st.text(max_size=8), min_size=1, max_size=4))
def test_column_names_lead_back_to_their_keys(keys: list[str]) -> None:
    assert column_path(SEPARATOR.join(column_segment(key) for key in keys)) == tuple(keys)


@THOROUGH
@given(st.lists(PAYLOADS, min_size=1, max_size=5), st.sampled_from([b"", b"\n", b" , ", b"\r\n\t", b"\0\0"]))
def test_splitting_gives_the_events_back(payloads: list[dict[str, Any]], delimiter: bytes) -> None:
    raws = raw_events(payloads)
    data = delimiter.join(raws)
    assert [data[span.start : span.end] for span in split(data)] == raws


@THOROUGH
@given(st.lists(PAYLOADS, min_size=3, max_size=6), st.binary(min_size=1, max_size=12), st.data())
def test_every_byte_is_in_a_span_or_blank(payloads: list[dict[str, Any]], noise: bytes, data: st.DataObject) -> None:
    """For any content of a file, its bytes are events, damage, or framing."""
    whole = b"".join(raw_events(payloads))
    at = data.draw(st.integers(0, len(whole)))
    damaged = whole[:at] + noise + whole[at:]
    end = 0
    for span in split(damaged):
        assert span.start >= end
        assert damaged[end : span.start].strip(b" \t\r\n,\0[]\xef\xbb\xbf") == b""
        end = span.end
    assert damaged[end:].strip(b" \t\r\n,\0[]\xef\xbb\xbf") == b""


@BRIEF
@given(st.data())
def test_order_of_landing_and_building_does_not_matter(data: st.DataObject) -> None:
    """Landing in any order, with builds in between, gives the same rows."""
    pool = [
        event(f"e-{n % 6}", {"n": n % 6 if n < 9 else 100 + n}, timestamp=f"2026-03-01T1{n % 3}:00:00Z")
        for n in range(12)
    ]
    contents = data.draw(st.lists(st.lists(st.sampled_from(pool), max_size=5), min_size=2, max_size=5))
    files = {f"main_stream/2026/3/{1 + n % 2}/{n}/f{n}": b"".join(chunk) for n, chunk in enumerate(contents)}
    outcomes = []
    for order in (list(files), data.draw(st.permutations(list(files)))):
        with tempfile.TemporaryDirectory() as folder:
            lake = LakeUnderTest(Path(folder))
            for key in order:
                lake.land({key: files[key]})
                if data.draw(st.booleans()):
                    lake.build()
            lake.build()
            before = lake.digest()
            lake.build({record.publish_hour for record in lake.lake_files.every()})
            assert lake.digest() == before
            outcomes.append((_rows(lake), lake.reasons()))
            _check_against_truth(Path(folder), files)
            lake.ledger.close()
    assert outcomes[0] == outcomes[1]


@settings(BRIEF, max_examples=int(os.environ.get("PISMO_FUZZ_EXAMPLES", "25")))
@given(st.lists(st.lists(PAYLOADS, max_size=4), min_size=1, max_size=4), st.sampled_from([(), ("**",)]), st.data())
def test_a_day_from_its_hours_is_the_day_from_the_raw_files(
    contents: list[list[dict[str, Any]]], lists_apart: tuple[str, ...], data: st.DataObject
) -> None:
    """Whatever a close takes from hours that are built already, the bytes are those of a parse."""
    with tempfile.TemporaryDirectory() as folder:
        lake = LakeUnderTest(
            Path(folder), contracts=ContractRules(shipped=False, child_tables=lists_apart), part_bytes=400
        )
        for hour, payloads in enumerate(contents):
            events = [event(f"e-{hour}-{number}", payload) for number, payload in enumerate(payloads)]
            lake.land({f"main_stream/2026/3/1/{hour}/f": b"".join(events)})
            if data.draw(st.booleans()):
                lake.build()
        lake.close("2026-03-01")
        before = lake.digest()
        # the hours are gone now, so this parses
        assert lake.close("2026-03-01", force=True).parts_built == 1
        assert lake.digest() == before


@BRIEF
@given(st.data())
def test_closing_days_in_any_order_gives_the_same_lake(data: st.DataObject) -> None:
    """Land, build and close in any order: after all days are closed, the bytes are the same."""
    pool = [
        event(f"e-{n % 9}", {"n": n % 9 if n < 15 else 100 + n}, timestamp=f"2026-03-0{1 + n % 3}T1{n % 3}:00:00Z")
        for n in range(18)
    ]
    contents = data.draw(st.lists(st.lists(st.sampled_from(pool), max_size=6), min_size=2, max_size=6))
    files = {f"main_stream/2026/3/{1 + n % 3}/{n}/f{n}": b"".join(chunk) for n, chunk in enumerate(contents)}
    days = [f"2026-03-0{day}" for day in (1, 2, 3)]
    outcomes = []
    for order in (list(files), data.draw(st.permutations(list(files)))):
        with tempfile.TemporaryDirectory() as folder:
            lake = LakeUnderTest(Path(folder))
            for key in order:
                lake.land({key: files[key]})
                if data.draw(st.booleans()):
                    lake.build()
                if data.draw(st.booleans()):
                    lake.close(data.draw(st.sampled_from(days)))
            for day in data.draw(st.permutations(days)):
                lake.close(day)
            assert lake.files.unbuilt_units() == []
            digest = {path: sha for path, sha in lake.digest().items() if "/_contracts/" not in path}
            for day in days:
                assert lake.close(day).parts_built == 0
            assert digest == {path: sha for path, sha in lake.digest().items() if "/_contracts/" not in path}
            assert not [path for path in digest if "T" in path.rsplit("/", 1)[-1]]
            folders = [path.rsplit("/", 1)[0] + path.rsplit("/", 1)[-1][:15] for path in digest]
            assert len(folders) == len(set(folders))
            outcomes.append((sorted(digest), _rows(lake), lake.reasons()))
            _check_against_truth(Path(folder), files)
            lake.ledger.close()
    assert outcomes[0] == outcomes[1]


def _rows(lake: LakeUnderTest) -> list[tuple[str, str, int]]:
    return sorted((row["event_id"], row["_source_file"], row["_source_offset"]) for row in lake.rows())


def _check_against_truth(root: Path, files: dict[str, bytes]) -> None:
    truth = Truth(root / "truth.db")
    for key, raw in files.items():
        parts = key.split("/")
        hour = f"2026-03-{int(parts[3]):02d}T{int(parts[4]):02d}"
        copies = []
        for span in split(raw):
            text = raw[span.start : span.end]
            parsed = parse_exact(text)
            place = (hour, key, span.start, len(text))
            copies.append(Copy(parsed["org_id"], parsed["event_id"], *place, dumps(parsed["data"]), text))
        truth.add_file(key, hour, len(raw), copies, [])
    found = verify(root / "lake", truth)
    truth.close()
    assert found.problems == []


def test_conformed_starts_empty() -> None:
    assert Conformed().rescued_text is None


@given(st.lists(st.tuples(st.sampled_from([b"a" * 16, b"a" * 8 + b"b" * 8, b"c" * 16]), st.integers(0, 9))))
def test_the_first_copy_within_the_horizon_stands(copies: list[tuple[bytes, int]]) -> None:
    """Some keys share the eight bytes that they are sorted by."""
    copies.sort(key=lambda copy: copy[1])
    keys = np.array([key for key, _ in copies], dtype="S16")
    hours = np.array([hour for _, hour in copies], dtype=np.int64)
    wanted = [
        next(place for place, (key, hour) in enumerate(copies) if key == mine and hour >= now - 4)
        for mine, now in copies
    ]
    assert _winners(keys, hours, 4).tolist() == wanted
