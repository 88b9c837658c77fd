"""Each kind of bad input becomes a row or a reject, and nothing is lost."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import HOUR, LakeUnderTest, event, key

from pismo_lake.errors import LandingIncompleteError, LandingRefusedError, SizeMismatch
from pismo_lake.index import make as indexing
from pismo_lake.index.rebuild import rebuild_ledger

if TYPE_CHECKING:
    from pathlib import Path

    from pismo_lake.decode.container import Plain


@pytest.mark.parametrize("raw", [b"", b"  \n\t ", b"\0" * 64])
def test_empty_files_are_landed_and_hold_nothing(lake: LakeUnderTest, raw: bytes) -> None:
    built = lake.put(raw)
    assert (built.files, built.events, built.rejects) == (1, 0, 0)
    assert lake.rows() == []


REJECTED = {
    "NaN": (event(data={}).replace(b'"data":{}', b'"data":{"amount":NaN}'), "non_finite_number"),
    "Infinity": (event(data={}).replace(b'"data":{}', b'"data":{"amount":-Infinity}'), "non_finite_number"),
    "nesting": (event(data={}).replace(b"{}", b'{"a":' * 1000 + b"1" + b"}" * 1000), "too_deep"),
    "no event_id": (event(event_id=...), "missing_event_id"),
    "empty event_id": (event(event_id=""), "missing_event_id"),
    "number as event_id": (event(event_id=7), "missing_event_id"),
    "no domain": (event(domain=...), "missing_domain"),
    "no event_type": (event(event_type=None), "missing_event_type"),
    "a number": (b" 12 ", "not_an_object"),
    "a string": (b'"text }{ "', "not_an_object"),
    "null": (b"null", "not_an_object"),
    "not UTF-8": (event().replace(b'"c-1"', b'"\xff"'), "invalid_utf8"),
    "NUL in a string": (event().replace(b'"c-1"', b'"\0\0"'), "invalid_json"),
    "torn": (event()[:-20], "truncated"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_what_is_no_event_is_rejected_with_its_bytes(lake: LakeUnderTest, case: str) -> None:
    raw, reason = REJECTED[case]
    good = event("good")
    built = lake.put(good, raw)
    assert [row["event_id"] for row in lake.rows()] == ["good"]
    (reject,) = lake.rejects()
    assert reject["reason"] == reason
    assert reject["raw"] == raw.strip()
    assert reject["source_offset"] == len(good) + raw.index(raw.strip())
    assert (built.events, built.rows, built.rejects) == (1, 1, 1)


def test_garbage_in_the_middle(lake: LakeUnderTest) -> None:
    lake.put(event("a"), b'\x00\xfegarb"age', event("b"))
    assert [row["event_id"] for row in lake.rows()] == ["a", "b"]
    assert lake.reasons() == ["invalid_json"]


def test_duplicate_keys_keep_the_last_and_rescue_the_others(lake: LakeUnderTest) -> None:
    lake.put(event(data={}).replace(b'"data":{}', b'"data":{"amount":1.5,"amount":2.5}'))
    assert lake.row()["data__amount"] == Decimal("2.5")
    assert lake.rescued() == [{"path": "/data/amount", "reason": "duplicate_key", "value": 1.5}]


@pytest.mark.parametrize(
    ("data", "column", "rescued"),
    [
        (
            '{"metadata":{"a":1,"a":2,"b":[{"c":3,"c":4}]}}',
            '{"a":2,"b":[{"c":4}]}',
            {"/data/metadata/a": 1, "/data/metadata/b/0/c": 3},
        ),
        ('{"lines":[{"x":1,"x":2}]}', [None], {"/data/lines/0": {"x": 2}, "/data/lines/0/x": 1}),
        ('{"n":1,"n":{"k":1,"k":2},"n":3}', 3, {"/data/n": {"k": 2}, "/data/n/k": 1}),
    ],
    ids=["free form", "list", "shadowed itself"],
)  # fmt: skip
def test_duplicate_keys_lose_nothing_at_any_depth(
    lake: LakeUnderTest, data: str, column: object, rescued: dict[str, object]
) -> None:
    plain = event("a", {"lines": [{"x": 1}], "n": 1})
    lake.put(plain, event("b", data={}).replace(b'"data":{}', f'"data":{data}'.encode()))
    (row,) = (row for row in lake.rows() if row["event_id"] == "b")
    (name,) = (name for name in ("metadata", "lines", "n") if f'"{name}":' in data)
    assert row[f"data__{name}"] == column
    entries = json.loads(row["_rescued"])
    assert {entry["reason"] for entry in entries} == {"duplicate_key"}
    values = [entry["value"] for entry in entries]
    assert all(value in values for value in rescued.values())
    assert {entry["path"] for entry in entries} == set(rescued)


@pytest.mark.parametrize(("version", "text"), [(2**64 - 1, str(2**64 - 1)), (2**64, None), (-(2**63) - 1, None)])
def test_a_version_of_too_many_digits_is_rescued(lake: LakeUnderTest, version: int, text: str | None) -> None:
    lake.put(event(schema_version=version))
    assert lake.row()["schema_version"] == text
    rescued = [{"path": "/schema_version", "reason": "not_text", "value": version}]
    assert (lake.rescued() if text is None else rescued) == rescued


def test_a_defect_of_the_program_holds_up_one_file_and_quotes_nothing(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = indexing.index_file

    def index_file(plain: Plain, contract_of: Any) -> Any:
        found = real(plain, contract_of)
        if b"poison" in plain.data:
            raise ZeroDivisionError(plain.data)
        return found

    monkeypatch.setattr(indexing, "index_file", index_file)
    lake.land_raw({key(9, "a"): event("a"), key(9, "b"): event("poison", {"new": 1}), key(9, "c"): event("c")})
    summary = lake.index()
    ((name, problem),) = summary.failures
    assert (summary.files, name) == (2, key(9, "b"))
    assert problem.startswith("ZeroDivisionError at test_bad_input.py:")
    assert "poison" not in problem + caplog.text
    lake.build()
    assert sorted(row["event_id"] for row in lake.rows()) == ["a", "c"]
    monkeypatch.undo()
    assert lake.index().failures == ()
    lake.build()
    assert sorted(row["event_id"] for row in lake.rows()) == ["a", "c", "poison"]


def test_a_lone_surrogate_is_rescued_as_its_escape(lake: LakeUnderTest) -> None:
    lake.put(event(data={}).replace(b'"data":{}', b'"data":{"name":"\\ud800","n":1}'))
    assert lake.row()["data__n"] == 1
    assert lake.row()["_rescued"] == r'[{"path":"/data/name","reason":"lone_surrogate","value":"\ud800"}]'


def test_a_60_mb_event(lake: LakeUnderTest) -> None:
    text = "x}{" * 20_000_000
    lake.put(event("before"), event("big", {"text": text}), event("after"))
    rows = {row["event_id"]: row for row in lake.rows()}
    assert rows.keys() == {"before", "big", "after"}
    assert rows["big"]["data__text"] == text


def test_another_size_than_announced_lands_nothing(lake: LakeUnderTest) -> None:
    files = {f"{HOUR}/a": event("a"), f"{HOUR}/b": event("b")}
    with pytest.raises(LandingIncompleteError, match="bytes") as failure:
        lake.land(files, sizes={f"{HOUR}/a": 3})
    assert failure.value.failures.keys() == {f"{HOUR}/a"}
    assert not SizeMismatch.permanent
    lake.build()
    assert [row["event_id"] for row in lake.rows()] == ["b"]


def test_gzip_cut_short_gives_its_good_part_and_a_reject(lake: LakeUnderTest) -> None:
    events = [event(f"e-{n}", {"n": n, "pad": str(n * 7919) * 20}) for n in range(3000)]
    raw = gzip.compress(b"".join(events))
    built = lake.put(raw[: len(raw) // 2])
    assert built.rows > 100
    assert [row["event_id"] for row in lake.rows()] == [f"e-{n}" for n in range(built.rows)]
    assert lake.reasons()[0] == "gzip_damaged"


def test_zstd_is_kept_named_and_does_not_stop_the_others(lake: LakeUnderTest) -> None:
    raw = b"\x28\xb5\x2f\xfd" + b"opaque"
    landed = lake.land({f"{HOUR}/a": raw, f"{HOUR}/b": event("b")})
    assert landed.unreadable == (f"{HOUR}/a",)
    lake.build()
    assert [row["event_id"] for row in lake.rows()] == ["b"]
    assert lake.reasons() == ["unsupported_framing"]
    assert (lake.root / "landing/test" / HOUR / "a").read_bytes() == raw


def test_an_event_without_timestamp_goes_to_the_publish_date(lake: LakeUnderTest) -> None:
    lake.put(event("a", timestamp=...), event("b", timestamp="yesterday"), event("c", timestamp="2026-02-27T09:00:00"))
    assert [row["event_timestamp"] for row in lake.rows()] == [None, None, None]
    assert [row["event_timestamp_text"] for row in lake.rows()] == [None, "yesterday", "2026-02-27T09:00:00"]
    assert all("event_date=2026-03-01" in path for path in lake.digest() if "/events/" in path)


@pytest.mark.parametrize("data", ["text", [1, 2], 7, True, {}])
def test_data_that_is_no_object_is_rescued(lake: LakeUnderTest, data: Any) -> None:
    lake.put(event("a"), event("b", data))
    row = {row["event_id"]: row for row in lake.rows()}["b"]
    assert '"path":"/data"' in row["_rescued"]


@pytest.mark.parametrize("data", [..., None])
def test_no_data_is_an_event_all_the_same(lake: LakeUnderTest, data: Any) -> None:
    raw = event("b", data=...) if data is ... else event("b", {}).replace(b'"data":{}', b'"data":null')
    lake.put(event("a"), raw)
    assert {row["event_id"] for row in lake.rows()} == {"a", "b"}
    assert all(row["_rescued"] is None for row in lake.rows())


TRICKS = ["../../../etc/passwd", "a/b", "%2F..%2F", "nul\0byte", "x" * 5000, ".", "..", "C:\\x", "ünï", "event_date=1"]


@pytest.mark.parametrize("name", TRICKS)
def test_names_from_outside_stay_in_their_folder(lake: LakeUnderTest, name: str) -> None:
    raw = event("a", domain=name.replace("\0", "\\u0000"), event_type=name.replace("\0", "\\u0000"))
    lake.put(raw.replace(b"\\\\u0000", b"\\u0000"))
    (path,) = [path for path in lake.digest() if "/events/" in path]
    parts = path.split("/")
    assert [part.split("=")[0] for part in parts[2:5]] == ["domain", "event_type", "event_date"]
    assert len(parts) == 6
    assert all(len(part) < 200 for part in parts)


@pytest.mark.parametrize("name", ["../../outside", "..", "%2e%2e", "_index"])
def test_object_keys_stay_in_landing(tmp_path: Path, name: str) -> None:
    lake = LakeUnderTest(tmp_path / "a/b/c/d/e/f/g/h/i/j/k")
    lake.put(event(), key=f"{HOUR}/../../../../../{HOUR}/{name.replace('/', '')}")
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and lake.root not in path.parents]
    assert outside == []
    assert len(lake.rows()) == 1


@pytest.mark.parametrize("name", ["a\0b", "a\ud800", "\0"])
def test_a_key_that_no_ledger_can_hold_does_not_hold_up_the_others(lake: LakeUnderTest, name: str) -> None:
    good = f"{HOUR}/good"
    landing = lake.land_raw({good: event(), f"{HOUR}/{name}": event("e-2")})
    assert ["has a NUL or half a character" in str(error) for error in landing.failures.values()] == [True]
    assert landing.summary.files == 1
    lake.build()
    assert len(lake.rows()) == 1
    assert lake.files.find_known([good, f"{HOUR}/{name}"]).keys() == {good}


def test_failures_that_cannot_heal_are_told_apart(lake: LakeUnderTest) -> None:
    with pytest.raises(LandingRefusedError, match="hour folder"):
        lake.land({"reports/a.json": event("a"), f"{HOUR}/b": event("b")})
    lake.build()
    assert [row["event_id"] for row in lake.rows()] == ["b"]
    assert not (lake.root / "landing" / "test" / "reports").exists()


def test_a_raw_file_without_an_hour_does_not_stop_a_rebuild(lake: LakeUnderTest) -> None:
    lake.put(event())
    stray = lake.root / "landing" / "test" / "reports" / "a.json"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(event("z"))
    lake.lose_ledger()
    anew = LakeUnderTest(lake.root)
    rebuilt = rebuild_ledger(anew.settings, anew.ledger)
    assert (rebuilt.files, rebuilt.orphans) == (1, (str(stray),))
    assert stray.exists()
