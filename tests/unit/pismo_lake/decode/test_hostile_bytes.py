"""Hostile bytes cost work in proportion to their size; memory is bounded, other files land."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING

import pytest
from tests.lakes import LakeUnderTest, event, key

from pismo_lake.contracts.store import ContractStore
from pismo_lake.decode import salvage
from pismo_lake.decode.container import Plain, uncompress
from pismo_lake.decode.salvage import is_too_large
from pismo_lake.decode.scan import scan
from pismo_lake.decode.split import split
from pismo_lake.errors import FramingError
from pismo_lake.index.make import MOST_REJECTS, index_file
from pismo_lake.ledger import LakeFiles

if TYPE_CHECKING:
    from pathlib import Path

SMALL = b'{"event_id":"a","domain":"b","event_type":"c","data":{}}'
WORDS = {
    "braces": b"{", "brackets": b"[", "quotes": b'"', "backslashes": b"\\", "closed before opened": b"}{",
    "empty objects": b"{}", "empty arrays": b"[]", "NUL": b"\0", "spaces": b" ", "commas": b",",
    "marks": b"\xef\xbb\xbf",
    "keys": b'{"', "nested payloads": b'{"data":', "nested in arrays": b'{"data":[',
    "long keys": b'{"' + b"k" * 200 + b'":',
    "never closed": b'{"a":1,', "numbers": b"1 ", "digits": b"1", "nulls": b"null", "texts": b'""', "escapes": b'\\"',
    "escape at once": b'{"\\', "envelopes never closed": b'{"event_id":"x","data":{', "swallowed": b'"' + SMALL[:-1],
    "events in arrays": b"[" + SMALL + b"]", "events and braces": SMALL + b"{", "events, nested": SMALL + b'{"k":[',
    "spaced braces": b"{ ", "spaced keys": b'{  "a" ', "no text": b"\xff", "signs": b"-", "objects": b'{"a":1}',
}  # fmt: skip


class _Counted:
    """Counts the characters that are given to a decoder."""

    def __init__(self) -> None:
        self.characters = 0
        self._real = salvage._EXTENT

    def raw_decode(self, text: str) -> object:
        self.characters += 64
        try:
            value, stop = self._real.raw_decode(text)
        except ValueError as error:
            unended = "Unterminated" in str(error)
            self.characters += len(text) if unended else getattr(error, "pos", len(text))
            raise
        except RecursionError:
            self.characters += len(text)
            raise
        self.characters += stop
        return value, stop


def decoded(data: bytes, monkeypatch: pytest.MonkeyPatch) -> int:
    counted = _Counted()
    monkeypatch.setattr(salvage, "_EXTENT", counted)
    try:
        for number, _ in enumerate(split(data)):
            if number > len(data) // 64:
                break
    except FramingError:
        pass
    return counted.characters


@pytest.mark.parametrize("word", WORDS)
def test_work_grows_as_the_bytes_do(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # the allowance for usual damage would hide the growth for small files
    monkeypatch.setattr(salvage, "_FREE", 1 << 14)
    size = 1 << 18
    small, large = (WORDS[word] * (count // len(WORDS[word])) for count in (size, 2 * size))
    once, twice = decoded(small, monkeypatch), decoded(large, monkeypatch)
    assert twice <= 2.6 * once + (1 << 18)
    assert twice <= 8 * len(large)


@pytest.mark.parametrize("word", WORDS)
def test_good_events_before_hostile_bytes_are_found_and_no_byte_is_left_out(tmp_path: Path, word: str) -> None:
    lake = LakeUnderTest(tmp_path)
    data = event("before") + WORDS[word] * 300
    lake.put(data)
    assert "before" in {row["event_id"] for row in lake.rows()}
    told = sorted((row["source_offset"], row["length"]) for row in (*lake.rows(), *lake.rejects()) if "length" in row)
    assert all(0 <= start <= start + length <= len(data) for start, length in told)


def test_a_good_event_behind_deep_nesting_is_found() -> None:
    data = b'{"data":' * 1500 + SMALL + b'{"k":[' * 1500 + SMALL
    good = [data[span.start : span.end] for span in split(data) if span.damage is None]
    assert good == [SMALL, SMALL]


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64])
def test_blocks_make_no_difference_to_the_scan(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        b"".join([event("a", {"text": 'q" \\ }{ \\\\" [', "deep": [[{"x": "\\\\\\"}]]}), b"\n[", SMALL, b"]"]),
        b'{"a":"' + b"\\" * 9 + b'"}', b'{"a":"' + b"\\" * 8 + b'"}', b"\\" * 20, b'{"a":1}}', b'{"a":[1,', b'"{"',
    ]  # fmt: skip
    whole = [scan(text) for text in texts]
    monkeypatch.setattr("pismo_lake.decode.scan._BLOCK", block)
    for text, expected in zip(texts, whole, strict=True):
        found = scan(text)
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            for name in ("starts", "ends", "depths"):
                assert getattr(found, name).tolist() == getattr(expected, name).tolist()


def test_a_file_of_too_many_values_is_refused_by_name_and_teaches_nothing(lake: LakeUnderTest) -> None:
    bad = event("a", {"unheard": 1}) + b"{}" * 400_000
    built = lake.put(bad, key=key(1))
    (record,) = LakeFiles(lake.ledger, lake.settings.lake).every()
    assert (record.status, built.unreadable) == ("unreadable", (key(1),))
    assert record.problem is not None
    assert key(1) in record.problem
    assert [(row["reason"], row["length"]) for row in lake.rejects()] == [("unsupported_framing", len(bad))]
    lake.put(event("b", {"known": 1}), key=key(2))
    assert "data__unheard" not in lake.row()


def test_too_many_rejects_are_refused(lake: LakeUnderTest) -> None:
    store = ContractStore(lake.ledger, lake.settings)
    with pytest.raises(FramingError, match="no events"):
        index_file(Plain(b"1 " * (MOST_REJECTS + 1), "plain"), store.get)


def test_an_event_of_too_many_values_is_too_large() -> None:
    many = b'{"a":[' + b"[]," * 6_000_000 + b"0]}"
    text = b'{"a":"' + b"[]," * 6_000_000 + b'"}'
    assert is_too_large(many, 0, len(many))
    assert not is_too_large(text, 0, len(text))


@pytest.mark.parametrize("members", [1, 3])
def test_a_gzip_file_is_uncompressed_up_to_the_limit(members: int) -> None:
    plain = SMALL * 1000
    raw = gzip.compress(plain) * members
    size = members * len(plain)
    assert uncompress(raw, "some/key", size).data == plain * members
    with pytest.raises(FramingError, match=f"some/key uncompresses to more than {size - 1} bytes"):
        uncompress(raw, "some/key", size - 1)


def test_the_limit_is_a_setting_and_files_indexed_before_stay_readable(tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path)
    files = {key(1): gzip.compress(event("a")), key(2): gzip.compress(event("b"))}
    lake.land({key(1): files[key(1)]})
    low = LakeUnderTest(tmp_path, max_plain_bytes=20)
    low.land({key(2): files[key(2)]})
    low.build()
    assert [row["event_id"] for row in low.rows()] == ["a"]
    assert low.reasons() == ["unsupported_framing"]


def test_many_small_members_are_read_in_linear_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each member is given a bounded piece of the bytes behind it, not all of them."""
    given: list[int] = []
    real = zlib.decompressobj

    class Counting:
        def __init__(self, wbits: int) -> None:
            self._stream = real(wbits=wbits)

        def decompress(self, some: bytes) -> bytes:
            given.append(len(some))
            return self._stream.decompress(some)

        def __getattr__(self, name: str) -> object:
            return getattr(self._stream, name)

    monkeypatch.setattr("pismo_lake.decode.container.zlib.decompressobj", Counting)
    raw = gzip.compress(b"") * 5000
    assert uncompress(raw, "file").data == b""
    assert sum(given) <= 20 * len(raw)


FLATTEN = """
import resource, sys
from pismo_lake.cli import main
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
status = main(sys.argv[2:])
# not `ru_maxrss`: a process that was started with vfork counts the memory of its parent, too
(peak,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print("peak", peak)
sys.exit(status)
"""


def bomb(zeros: int) -> bytes:
    """One gzip member of this many MiB of zeros."""
    packer = zlib.compressobj(1, wbits=31)
    piece = bytes(1 << 20)
    return b"".join([*(packer.compress(piece) for _ in range(zeros)), packer.flush()])


@pytest.mark.parametrize("cut", [None, -20], ids=["whole", "cut short"])
def test_a_bomb_keeps_no_other_file_out(tmp_path: Path, cut: int | None) -> None:
    packed = bomb(1100)[:cut]
    assert len(packed) < 6_000_000
    files = {key(1): packed, key(1, "b"): event("same-hour"), key(2): event("next"), key(3, day=2): event("next-day")}
    for name, content in files.items():
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    command = [sys.executable, "-c", FLATTEN, str(1800 << 20), "flatten", str(tmp_path / "raw"), "--jobs", "1"]
    done = subprocess.run(
        [*command, "--lake", str(tmp_path / "lake")], capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert f"NOT READABLE, kept in landing and listed in rejects: {key(1)}" in done.stderr
    here = LakeUnderTest(tmp_path / "reader")
    here.root = tmp_path
    assert sorted(row["event_id"] for row in here.rows()) == ["next", "next-day", "same-hour"]
    assert here.reasons() == ["unsupported_framing"]
    peak = int(done.stdout.split("peak ")[1]) << 10
    # the limit of 128 MiB, a growing buffer, and a process with its libraries
    assert peak < 800 << 20


def test_lack_of_memory_is_the_file_s_own_failure(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    from pismo_lake.index import make

    real = make.index_file

    def index_file(plain: Plain, contract_of: object) -> object:
        if b"greedy" in plain.data:
            raise MemoryError
        return real(plain, contract_of)  # type: ignore[arg-type]

    monkeypatch.setattr(make, "index_file", index_file)
    taken = lake.land({key(1): event("greedy"), key(2): event("modest")})
    assert taken.failures == (
        (key(1), f"{key(1)} ({len(event('greedy'))} bytes in landing) needs more memory than is free"),
    )
    lake.build([f"2026-03-01T0{hour}" for hour in (1, 2)])
    assert [row["event_id"] for row in lake.rows()] == ["modest"]
