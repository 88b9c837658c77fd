from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from tests.lakes import LakeUnderTest, event

from pismo_lake.decode.container import uncompress
from pismo_lake.decode.scan import scan
from pismo_lake.decode.split import split
from pismo_lake.errors import FramingError

EVENTS = [event(f"e-{n}", {"text": 'a }{ "b" \\ [', "n": n, "deep": {"x": [{}, {"y": []}]}}) for n in range(5)]
PRETTY = [json.dumps(json.loads(raw), indent=2).encode() for raw in EVENTS]

FRAMINGS = {
    "no delimiter": b"".join(EVENTS),
    "new lines": b"\n".join(EVENTS) + b"\n",
    "carriage returns": b"\r\n".join(EVENTS),
    "commas": b",\n".join(EVENTS),
    "pretty-printed": b" ".join(PRETTY),
    "array": b"[" + b",".join(EVENTS) + b"]",
    "two arrays": b"[" + b",".join(EVENTS[:2]) + b"]\n[" + b",".join(EVENTS[2:]) + b"]",
    "byte order mark": b"\xef\xbb\xbf" + b"".join(EVENTS),
    "marks between": b"\xef\xbb\xbf".join(EVENTS),
    "NUL padding": b"".join(EVENTS) + b"\0" * 512,
}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_every_framing_gives_the_same_events(framing: str) -> None:
    data = FRAMINGS[framing]
    spans = list(split(data))
    assert [json.loads(data[span.start : span.end]) for span in spans] == [json.loads(raw) for raw in EVENTS]
    assert all(span.damage is None for span in spans)


@pytest.mark.parametrize("data", [b"", b" \n\t\r\n ", b"\0" * 100, b"\xef\xbb\xbf", b"[]", b"[\n]"])
def test_nothing_is_nothing(data: bytes) -> None:
    assert list(split(data)) == []


def test_gzip_by_its_magic_also_in_members() -> None:
    raw = gzip.compress(EVENTS[0]) + gzip.compress(EVENTS[1])
    assert uncompress(raw, "no-extension").data == EVENTS[0] + EVENTS[1]


def test_gzip_cut_short_keeps_what_can_be_read() -> None:
    whole = b"".join(event(f"e-{n}", {"n": str(n) * 50}) for n in range(2000))
    raw = gzip.compress(whole)
    plain = uncompress(raw[: len(raw) // 2], "file")
    assert plain.lost
    assert len(plain.data) > len(whole) // 10
    assert whole.startswith(plain.data)


@pytest.mark.parametrize("magic", [b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"BZh9", b"PAR1"])
def test_other_compression_is_a_clear_error(magic: bytes) -> None:
    with pytest.raises(FramingError, match="some/key is"):
        uncompress(magic + b"rest", "some/key")


@pytest.mark.parametrize("slashes", range(6))
def test_quotes_behind_any_run_of_backslashes(slashes: int) -> None:
    text = b'{"a":"' + b"\\" * slashes + (b'"' if slashes % 2 == 0 else b'"}"') + b"}"
    found = scan(text)
    assert found is not None
    assert found.ends.tolist() == [len(text)]


def test_a_truncated_tail_costs_only_itself() -> None:
    data = b"".join(EVENTS)[:-9]
    *whole, tail = split(data)
    assert len(whole) == 4
    assert (tail.damage, tail.end) == ("truncated", len(data))


@pytest.mark.parametrize("garbage", [b"garbage", b'"odd', b'\x01"}{"\xff', b"{{{{[[[", b"}}}]]]", b'{"event_id":'])
def test_garbage_between_events_costs_no_event(garbage: bytes) -> None:
    data = EVENTS[0] + garbage + b"".join(EVENTS[1:])
    good = [data[span.start : span.end] for span in split(data) if span.damage is None]
    assert [json.loads(raw)["event_id"] for raw in good][-4:] == [f"e-{n}" for n in range(1, 5)]


def test_two_odd_quotes_do_not_hide_the_events_between_them(lake: LakeUnderTest) -> None:
    plain = [event(f"e-{number}", {"n": number}) for number in range(5)]
    broken = plain[0][:60] + b'"' + plain[0][60:]
    data = b"".join([plain[1], broken, *plain[2:4], broken, plain[4]])
    # the structure balances here, although the split would be wrong
    assert scan(data) is not None
    lake.put(data)
    assert [row["event_id"] for row in lake.rows()] == ["e-1", "e-2", "e-3", "e-4"]
    assert lake.reasons() == ["invalid_json", "invalid_json"]


def test_hostile_nesting_stays_linear() -> None:
    data = b'{"a":' * 200_000
    (span,) = split(data)
    assert (span.start, span.end) == (0, len(data))


def test_the_sample_file_as_pismo_writes_it() -> None:
    path = Path(__file__).parents[3] / "fixtures" / "undelimited.txt"
    data = path.read_bytes()
    assert len([span for span in split(data) if span.damage is None]) == 34
