"""Search after an erasure: each trace of the person is named, and its value is not shown."""

from __future__ import annotations

import gzip
import os
import sqlite3
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.lakes import SERVER, LakeUnderTest, at, event, key

from pismo_lake.cli.main import main
from pismo_lake.events.needle import Needle, unescape
from pismo_lake.ledger.sightings import Sightings
from pismo_lake.settings.contracts import ContractRules
from pismo_lake.storage.leftovers import hold

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VALUE = "00666777889"
NAME = 'José "Zé" D\'Ávila'
PARTITION = "events/domain=pix/event_type=pix_in-1/event_date=2026-03-01"


@pytest.fixture
def peopled(tmp_path: Path) -> LakeUnderTest:
    """Make a closed day and an open hour, both with the person, also in a list."""
    lake = LakeUnderTest(tmp_path, contracts=ContractRules(shipped=False, child_tables=("**/people",)))
    him = {"document": VALUE, "name": NAME, "people": [{"name": NAME, "document": VALUE}]}
    other = {"document": "99988877766", "name": "Bob", "people": [{"name": "Bob"}]}
    lake.land({
        key(1): event("e-1", him, timestamp=at(1)) + event("e-2", other, timestamp=at(1)),
        key(2): event("e-1", {**him, "n": 2}, timestamp=at(1)) + event("e-3", other, timestamp=at(2)),
        key(3, day=2): gzip.compress(event("e-4", him, timestamp=at(3, 2)) + event("e-5", other, timestamp=at(3, 2))),
    })  # fmt: skip
    lake.build()
    lake.close("2026-03-01")
    return lake


def erase(
    lake: LakeUnderTest, *more: str, where: str = f"data__document={VALUE}", raw: tuple[str, ...] = ("--raw",)
) -> int:  # fmt: skip
    place = ["--lake", lake.settings.lake, "--landing", lake.settings.landing, "--ledger", lake._ledger_url()]
    lake.ledger.close()
    return main(["erase", "--where", where, "--reference", "t 1", *raw, *place, "--delivery", "test", *more])


def files_with(root: Path, text: bytes) -> list[str]:
    """Return the files below a folder that hold a text, Parquet and gzip files by their content."""
    found = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if data.startswith(b"PAR1"):
            data += repr(pq.ParquetFile(pa.BufferReader(data)).read().to_pylist()).encode()
        elif data.startswith(b"\x1f\x8b"):
            data += gzip.decompress(data)
        if text in data:
            found.append(str(path.relative_to(root)))
    return found


def test_nothing_is_left_after_an_erasure(peopled: LakeUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(files_with(peopled.root, VALUE.encode())) > 5
    assert erase(peopled) == 0
    told = capsys.readouterr()
    assert "searched lake, landing and ledger: nothing is left" in told.out
    assert VALUE not in told.out + told.err
    assert files_with(peopled.root, VALUE.encode()) == []
    assert files_with(peopled.root, "José".encode()) == []
    assert sorted(row["event_id"] for row in peopled.rows()) == ["e-2", "e-3", "e-5"]


def test_without_raw_the_bytes_in_landing_stay_and_this_is_said(
    peopled: LakeUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--lake", peopled.settings.lake, "--landing", peopled.settings.landing, "--delivery", "test"]
    call = [
        "erase",
        "--where",
        f"data__document={VALUE}",
        "--reference",
        "t",
        *place,
        "--ledger",
        peopled._ledger_url(),
    ]
    peopled.ledger.close()
    assert main(call) == 0
    assert "the raw bytes of these events are still in landing" in capsys.readouterr().out
    assert files_with(peopled.root / "lake", VALUE.encode()) == []
    assert len(files_with(peopled.root / "landing", VALUE.encode())) == 3
    assert erase(peopled) == 0
    assert files_with(peopled.root, VALUE.encode()) == []


def stray_parquet(lake: LakeUnderTest) -> None:
    rows = pa.table({"event_id": ["e-9"], "text": [f"document {VALUE}"]})
    pq.write_table(rows, lake.root / "lake" / PARTITION / "copied-by-hand.parquet")


def nested_parquet(lake: LakeUnderTest) -> None:
    pq.write_table(pa.table({"deep": [[{"a": {"b": VALUE}}]]}), lake.root / "lake" / PARTITION / "x.parquet")


def hidden_parquet(lake: LakeUnderTest) -> None:
    pq.write_table(pa.table({VALUE: [1]}), lake.root / "lake" / ".x.parquet")


def text_of_another_event(lake: LakeUnderTest) -> None:
    lake.land({key(7): event("e-7", {"note": f"paid for CPF{VALUE}."}, timestamp=at(7))})
    lake.build()


def json_in_json(lake: LakeUnderTest) -> None:
    lake.land({key(7): event("e-7", {"request": '{"document": "\\u0030' + VALUE[1:] + '"}'}, timestamp=at(7))})
    lake.build()


def rescued(lake: LakeUnderTest) -> None:
    lake.land({key(7): event("e-7", {"name": {"document": VALUE}}, timestamp=at(7))})
    lake.build()


def reject(lake: LakeUnderTest) -> None:
    lake.land({key(7): b'{"event_id": "e-7", "data": {"document": "' + VALUE.encode() + b'"'})
    lake.build()


def waiting_for_its_index(lake: LakeUnderTest) -> None:
    lake.land_raw({key(7): gzip.compress(event("e-7", {"note": VALUE}, timestamp=at(7)))})


def no_file_of_ours(lake: LakeUnderTest) -> None:
    (lake.root / "landing" / "test" / "notes.txt").write_text(f"his document: {VALUE}")


def in_a_name(lake: LakeUnderTest) -> None:
    (lake.root / "lake" / f"export-{VALUE}.csv").write_bytes(b"")


def in_the_ledger(lake: LakeUnderTest) -> None:
    Sightings(lake.ledger, lake.settings.lake, "test").note([f"main_stream/2026/3/1/9/of-{VALUE}"], "listed")


TRACES: dict[str, tuple[Callable[[LakeUnderTest], None], str]] = {
    "stray Parquet": (stray_parquet, r"copied-by-hand.parquet: a value in column text (event e-9)"),
    "nested Parquet": (nested_parquet, "x.parquet: a value in column deep"),
    "hidden Parquet": (hidden_parquet, ".x.parquet: a value in the name of a column"),
    "text of another event": (text_of_another_event, "a value in column data__note (event e-7)"),
    "JSON in JSON": (json_in_json, "a value in column data__request (event e-7)"),
    "rescued": (rescued, "a value in column _rescued (event e-7)"),
    "reject": (reject, "a value in column raw"),
    "waiting": (waiting_for_its_index, "a value, in bytes without an index"),
    "no file of ours": (no_file_of_ours, "notes.txt: a value, in bytes without an index"),
    "name": (in_a_name, "a value in its name"),
    "ledger": (in_the_ledger, "ledger, pismo_sightings.key: a value"),
}


@pytest.mark.parametrize("place", TRACES)
def test_a_trace_is_named_and_the_command_fails(
    peopled: LakeUnderTest, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    leave, told = TRACES[place]
    leave(peopled)
    assert erase(peopled) == 1
    err = capsys.readouterr().err
    assert told in err
    assert "LEFT: " in err
    if place not in {"name", "hidden Parquet"}:
        assert VALUE not in err


def test_what_is_named_can_be_erased_by_its_id(peopled: LakeUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
    rescued(peopled)
    json_in_json_ids = ["--event-id", "e-7"]
    assert erase(peopled) == 1
    assert "(event e-7)" in capsys.readouterr().err
    assert erase(peopled, *json_in_json_ids) == 0
    assert files_with(peopled.root, VALUE.encode()) == []


def test_a_value_with_odd_letters_is_found_in_every_spelling(peopled: LakeUnderTest) -> None:
    assert erase(peopled, where=f"data__name={NAME}") == 0
    assert files_with(peopled.root, "José".encode()) == []
    spellings = (
        '"Jos\\u00e9 \\"Z\\u00E9\\" D\'\\u00c1vila"', "José \\\"Zé\\\" D'Ávila",
        '{"a":"{\\"n\\":\\"Jos\\\\u00e9 \\\\\\"Zé\\\\\\" D\'Ávila\\"}"}',
    )  # fmt: skip
    for spelled in spellings:
        assert Needle.of([NAME]).is_in_bytes(spelled.encode()), spelled
        assert Needle.of([NAME]).is_in_text(spelled), spelled
    assert unescape("\\ud83d\\ude00 \\u0041") == "\U0001f600 A"


@pytest.mark.parametrize(
    "spelled", ["José Ávila", "JOSÉ ÁVILA", "josé ávila", "Jose\u0301 A\u0301vila", "JOSE\u0301 A\u0301VILA"]
)
@pytest.mark.parametrize("sought", ["José Ávila", "JOSE\u0301 A\u0301VILA"])
def test_accented_letters_are_found_in_both_cases_and_both_forms(sought: str, spelled: str) -> None:
    needle = Needle.of([sought])
    assert needle.is_in_bytes(f'{{"name":"{spelled}"}}'.encode())
    assert needle.is_in_text(f"paid by {spelled}.")
    assert not needle.is_in_bytes(spelled.encode()[:-2])


def test_a_number_is_found_in_columns_of_numbers(peopled: LakeUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = {"other": 12345678, "people": [{"n": 12345678}], "sum": Decimal("12345678.00")}
    peopled.land({
        key(6): event("e-6", {"customer": 12345678}, timestamp=at(6)),
        key(7): event("e-7", numbers, timestamp=at(7)) + event("e-8", {"other": 123456789}, timestamp=at(7)),
    })  # fmt: skip
    peopled.build()
    # without its raw file only the rows hold the number
    (peopled.root / "landing" / "test" / key(7)).unlink()
    assert erase(peopled, where="data__customer=12345678") == 1
    err = capsys.readouterr().err
    for column in ("data__other", "data__sum", "data__people__n"):
        assert f"a value in column {column} (event e-7)" in err
    assert "e-8" not in err


def pack_name(content: bytes) -> bytes:
    """Return gzip bytes whose header names a file of the person."""
    packed = gzip.compress(content)
    return packed[:3] + b"\x08" + packed[4:10] + VALUE.encode() + b".json\0" + packed[10:]


@pytest.mark.parametrize(
    ("pack", "told"),
    [
        (pack_name, "LEFT: {}: a value in its gzip header"),
        (lambda content: gzip.compress(gzip.compress(content)), "NOT SEARCHED: {} is compressed twice"),
        (lambda content: gzip.compress(content.decode().encode("utf-16")), "NOT SEARCHED: {} is UTF-16"),
    ],
)  # fmt: skip
def test_a_gzip_file_is_searched_whole_or_named(
    peopled: LakeUnderTest, capsys: pytest.CaptureFixture[str], pack: Callable[[bytes], bytes], told: str
) -> None:
    peopled.land({key(7): pack(event("e-7", {"document": "1"}, timestamp=at(7)))})
    assert erase(peopled) == 1
    assert told.format(peopled.root / "landing" / "test" / key(7)) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("00666777889", True),
        ("CPF00666777889", True),
        ("id:00666777889x", True),
        ("100666777889", False),
        ("006667778891", False),
    ],
)
def test_a_number_in_a_longer_number_is_none(text: str, found: bool) -> None:
    assert Needle.of([VALUE]).is_in_text(text) is found
    assert Needle.of([VALUE]).is_in_bytes(text.encode()) is found


def test_short_values_are_searched_in_their_own_columns(
    peopled: LakeUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    peopled.land({key(7): event("e-7", {"code": 42, "n": "42"}, timestamp=at(7))})
    peopled.build()
    assert erase(peopled, where="data__code=42") == 0
    assert "because the values are short: data__code" in capsys.readouterr().out
    assert "e-7" not in {row["event_id"] for row in peopled.rows()}


def test_a_reference_with_the_value_is_refused(peopled: LakeUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
    assert erase(peopled, "--reference", f"mail of {VALUE}") == 1
    assert "--reference holds a value of the person" in capsys.readouterr().err


@pytest.mark.skipif(SERVER is not None, reason="the pages of an SQLite file")
def test_deleted_rows_leave_the_pages_of_an_sqlite_ledger(peopled: LakeUnderTest) -> None:
    file = peopled.root / "ledger.db"
    key_of_his = f"main_stream/2026/3/1/9/of-{VALUE}"
    seen = Sightings(peopled.ledger, peopled.settings.lake, "test")
    with closing(sqlite3.connect(file)) as earlier:
        # as an earlier version deleted
        earlier.execute("PRAGMA secure_delete=OFF")
        seen.note([key_of_his], "listed")
        earlier.execute("DELETE FROM pismo_sightings")
        earlier.commit()
    assert VALUE.encode() in b"".join(path.read_bytes() for path in peopled.root.glob("ledger.db*"))
    assert erase(peopled) == 0
    assert VALUE.encode() not in b"".join(path.read_bytes() for path in peopled.root.glob("ledger.db*"))


def test_a_file_that_cannot_be_searched_is_named(peopled: LakeUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
    folder = peopled.root / "landing" / "test" / "main_stream"
    (folder / "b.zst").write_bytes(b"\x28\xb5\x2f\xfd" + b"x" * 20)
    (peopled.root / "lake" / "events" / "broken.parquet").write_bytes(b"PAR1 and no more")
    assert erase(peopled, "--event-id", "e-1", where=f"data__document={VALUE}") == 1
    err = capsys.readouterr().err
    assert "broken.parquet" in err


def test_a_temporary_file_of_a_living_process_stays_and_is_named(
    peopled: LakeUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    path = peopled.root / "landing" / "test" / f".a.{'0' * 32}.tmp"
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        with path.open("wb") as file:
            hold(file)
            file.write(VALUE.encode())
            file.flush()
            (path.parent / "ready").touch()
            os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    try:
        while not (path.parent / "ready").exists():
            os.sched_yield()
        (path.parent / "ready").unlink()
        assert erase(peopled) == 1
        assert f"LEFT: {path}" in capsys.readouterr().err
        assert path.exists()
    finally:
        os.close(writer)
        os.waitpid(child, 0)
    assert erase(peopled) == 0
    assert not path.exists()
