"""The commands `missing` and `replay`: what they print, send, and refuse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import LakeUnderTest, event, key

from pismo_lake.cli.main import main
from pismo_lake.settings.replay import TargetKind

if TYPE_CHECKING:
    from pathlib import Path

TIMES = ("--from", "2026-03-01", "--to", "2026-03-02")
Run = "Callable[..., tuple[int, str, str]]"


@pytest.fixture
def fed(tmp_path: Path) -> LakeUnderTest:
    return LakeUnderTest(tmp_path / "fed")


@pytest.fixture
def made(fed: LakeUnderTest) -> list[bytes]:
    """Land six events in two hours, and return their bytes."""
    bodies = [
        event(f"e-{number}", {"account_id": number % 2, "name": "Ana"}, timestamp=f"2026-03-01T12:00:0{number}Z")
        for number in range(6)
    ]
    fed.land({key(12): b"".join(bodies[:3]), key(13): b"".join(bodies[3:] + bodies[:1])})
    return bodies


@pytest.fixture
def run(fed: LakeUnderTest, made: list[bytes], capsys: pytest.CaptureFixture[str]) -> Run:
    settings = fed.settings
    words = ["--lake", settings.lake, "--landing", settings.landing, "--delivery", "test"]
    words += ["--ledger", f"sqlite:///{fed.root / 'ledger.db'}"]

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([*arguments, *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def document(answer: tuple[int, str, str]) -> Any:
    assert answer[0] == 0, answer
    return json.loads(answer[1])


def test_missing_prints_counts_and_ids(run: Any, tmp_path: Path) -> None:
    seen = tmp_path / "seen.txt"
    seen.write_text("e-0\ne-4\nother\n")
    code, out, err = run("missing", "--seen", str(seen), *TIMES)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("4 of 6 event(s) are missing (published from 2026-03-01T00:00:00Z to ")
    assert [line.split() for line in lines[1:4]] == [
        ["hour", "event", "type", "missing", "of"],
        ["2026-03-01T12", "pix/pix_in-1", "2", "3"],
        ["2026-03-01T13", "pix/pix_in-1", "2", "3"],
    ]
    assert [line.split()[-1] for line in lines[6:]] == ["e-1", "e-2", "e-3", "e-5"]
    assert run("missing", "--seen", str(seen), *TIMES, "--only-ids")[1] == "e-1\ne-2\ne-3\ne-5\n"
    found = document(run("missing", "--seen", str(seen), *TIMES, "--account", "1", "--json"))
    assert (found["events"], found["missing"], found["seen_ids"]) == (3, 3, 3)
    assert [group["event_ids"] for group in found["groups"]] == [["e-1"], ["e-3", "e-5"]]


def test_missing_warns_of_a_file_that_does_not_fit_and_takes_an_empty_one(run: Any, tmp_path: Path) -> None:
    seen = tmp_path / "seen.csv"
    seen.write_text("a,b\n1,2\n")
    code, _, err = run("missing", "--seen", str(seen), *TIMES)
    assert (code, err) == (0, f"{seen}: none of its 2 id(s) is in this range: is it the right file?\n")
    seen.write_text("")
    code, out, err = run("missing", "--seen", str(seen), *TIMES)
    assert (code, err) == (0, "")
    assert out.startswith("6 of 6 ")
    code, out, err = run("missing", "--seen", str(tmp_path / "none"), *TIMES)
    assert (code, out) == (1, "")
    assert err == f"SeenFileError: {tmp_path / 'none'}: there is no such file of ids\n"


def test_nothing_missing_is_one_line(run: Any, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    seen.write_text("".join(f"e-{number}\n" for number in range(6)))
    code, out, _ = run("missing", "--seen", str(seen), *TIMES)
    assert (code, len(out.splitlines())) == (0, 1)
    assert out.startswith("0 of 6 event(s) are missing")


def test_files_that_wait_for_their_index_are_named(run: Any, fed: LakeUnderTest, tmp_path: Path) -> None:
    fed.land_raw({key(14): event("e-9")})
    (tmp_path / "seen").touch()
    _, out, err = run("missing", "--seen", str(tmp_path / "seen"), *TIMES)
    assert out.startswith("6 of 6 ")
    assert err.startswith("1 landed file(s) have no index yet")


def test_a_replay_is_shown_sent_and_listed(run: Any, made: list[bytes], tmp_path: Path) -> None:
    to = ("--target", "undelimited", "--address", str(tmp_path / "out"))
    code, out, _ = run("replay", *TIMES, *to, "--dry-run")
    assert code == 0
    assert out.splitlines()[-1] == (
        f"would send 6 message(s) with raw bytes to undelimited {tmp_path}/out, in about 1 minute(s)"
    )
    assert not (tmp_path / "out").exists()
    assert document(run("replay", "--list", "--json")) == {"replays": []}
    assert document(run("replay", *TIMES, *to, "--dry-run", "--json"))["groups"] == [
        {"hour": "2026-03-01T12", "event_type": "pix/pix_in-1", "events": 3},
        {"hour": "2026-03-01T13", "event_type": "pix/pix_in-1", "events": 3},
    ]

    (tmp_path / "seen").write_text("e-1\n")
    code, out, err = run("replay", *TIMES, *to, "--seen", str(tmp_path / "seen"), "--per-second", "100000")
    assert code == 0, err
    assert "5 event(s), " in out
    assert "; 1 more are seen" in out
    last = out.splitlines()[-1]
    replay_id = last.split()[1].rstrip(":")
    assert last == f"replay {replay_id}: 5 sent, 0 refused, 0 erased, 0 left, to undelimited {tmp_path}/out"
    (file,) = (tmp_path / "out").iterdir()
    assert file.read_bytes() == b"".join(made[:1] + made[2:])

    _, out, _ = run("replay", "--list")
    assert [out.splitlines()[1].split()[place] for place in (0, 2, 3, 4)] == [replay_id, "done", "5", "5"]
    (record,) = document(run("replay", "--list", "--json"))["replays"]
    assert (record["state"], record["left"], record["run"]) == ("done", 0, "command line")
    # one that is done sends nothing more
    assert run("replay", "--continue", replay_id, *to)[1] == f"{last}\n"


def test_a_wrong_target_is_told_before_the_replay_is_recorded(run: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    code, out, err = run("replay", *TIMES, "--target", "ndjson", "--address", str(tmp_path / "file" / "out"))
    assert (code, out) == (1, "")
    assert "cannot be written" in err
    assert document(run("replay", "--list", "--json")) == {"replays": []}


def test_ids_of_a_file_are_sent(run: Any, made: list[bytes], tmp_path: Path) -> None:
    to = ("--target", "ndjson", "--address", str(tmp_path / "out"))
    (tmp_path / "ids").write_text("e-4\ne-2\nother\n")
    assert document(run("replay", "--ids", str(tmp_path / "ids"), "--event-id", "e-0", *to, "--json"))["sent"] == 3
    (file,) = (tmp_path / "out").iterdir()
    assert file.read_bytes().splitlines() == [made[0], made[2], made[4]]
    (tmp_path / "ids").write_text("\n")
    code, _, err = run("replay", "--ids", str(tmp_path / "ids"), *to)
    assert (code, err) == (1, f"SeenFileError: {tmp_path / 'ids'}: the file has no ids\n")


def test_events_that_were_not_sent_are_listed_and_the_code_says_so(
    run: Any, fed: LakeUnderTest, tmp_path: Path
) -> None:
    broken = b'{"event_id":"b","domain":"pix","event_type":"x","timestamp":"2026-03-01T12:00:02Z","data":{"s":"a\nb"}}'
    fed.land({key(14): broken})
    code, out, err = run("replay", *TIMES, "--target", "ndjson", "--address", str(tmp_path / "out"))
    replay_id = out.splitlines()[-1].split()[1].rstrip(":")
    assert (code, err) == (1, f"1 event(s) were not sent: --refused {replay_id} lists them\n")
    (refused,) = document(run("replay", "--refused", replay_id, "--json"))["refused"]
    assert (refused["event_id"], refused["file"], refused["offset"]) == ("b", key(14), 0)
    assert "a line break inside a text" in run("replay", "--refused", replay_id)[1]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "name a target: --target and --address, or `replay:`"),
        (("--target", "ndjson"), "belong together"),
        (("--target", "fax", "--address", "x"), "target"),
        (("--target", "sqs", "--address", "x"), "sqs needs a URL"),
        (("--target", "ndjson", "--address", "OUT", "--per-second", "0"), "per_second"),
        (("--target", "ndjson", "--address", "OUT", "--where", "x"), "COLUMN=VALUE"),
        (("--target", "ndjson", "--address", "OUT", "--continue", "none"), "has no replay 'none': there is none yet"),
        (("--refused", "none"), "has no replay 'none'"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_refused_in_one_line(run: Any, tmp_path: Path, words: tuple[str, ...], reason: str) -> None:
    given = [str(tmp_path / "out") if word == "OUT" else word for word in words]
    code, out, err = run("replay", *TIMES, *given)
    assert (code, out) == (1, "")
    assert reason in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_target_of_a_delivery_is_used(
    fed: LakeUnderTest, made: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"""\
deliveries:
  test:
    organisation: TN-1
    environment: sandbox
    channel: gcs
    conn_id: c
    source: {{bucket: b}}
    landing: {fed.settings.landing}
    lake: {fed.settings.lake}
    ledger_url: sqlite:///{fed.root}/ledger.db
    replay: {{target: undelimited, address: {tmp_path}/out}}
"""
    (tmp_path / "deliveries.yaml").write_text(text)
    words = ["--deliveries", str(tmp_path / "deliveries.yaml"), "--delivery", "test"]
    assert main(["replay", "--event-id", "e-3", *words]) == 0
    (file,) = (tmp_path / "out").iterdir()
    assert file.read_bytes() == made[3]
    assert capsys.readouterr().out.endswith(f"to undelimited {tmp_path}/out\n")
    # every kind is in the help
    with pytest.raises(SystemExit):
        main(["replay", "--help"])
    shown = capsys.readouterr().out
    assert all(kind in shown for kind in TargetKind)
