"""Options may precede or follow the command; wrong ones are refused in one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pismo_lake.cli.app import build_app
from pismo_lake.cli.codes import EXIT_CODES
from pismo_lake.cli.ddl import ENGINES
from pismo_lake.cli.main import main
from pismo_lake.ddl.dialects import DIALECTS

if TYPE_CHECKING:
    from pathlib import Path

WAYS = [
    ["contracts", "show", "--lake", "{lake}", "--json"],
    ["--lake", "{lake}", "--json", "contracts", "show"],
    ["--json", "contracts", "--lake", "{lake}", "show"],
    ["contracts", "--json", "show", "--lake={lake}"],
    ["--lake", "elsewhere", "contracts", "show", "--json", "--lake", "{lake}"],
    ["--lake", "elsewhere", "-v", "contracts", "--lake", "{lake}", "show", "--json"],
]


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_options_precede_or_follow_the_command(lake: str, capsys: pytest.CaptureFixture[str], way: list[str]) -> None:
    capsys.readouterr()
    assert main([word.format(lake=lake) for word in way]) == 0
    assert json.loads(capsys.readouterr().out)["event_types"][0]["event_type"] == "pix/pix_in-1"


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a wrong call; return its message, which must be one line."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    return told.err


WRONG = {
    "flaten": "the commands are flatten, ",
    "ledger rebuild-it": "the commands are rebuild",
    "contracts shwo": "the commands are show, ",
    "files --jsn": "--json",
    "files --date": "--date",
    "close": "'--date'",
    "ddl": "'--dialect'",
    "ddl --dialect duckd --lake x": "there are duckdb, ",
    "ddl --dialect dbt --engine dbt --lake x": "there are duckdb, ",
    "contracts dictionary --format markdwn --lake x": "there are markdown, ",
    "files extra --lake x": "extra",
    "flatten x --jobs 0": "'0' is not 1 or more",
    "status --days 0": "--days",
}


@pytest.mark.parametrize("call", WRONG)
def test_a_wrong_call_is_one_line(capsys: pytest.CaptureFixture[str], call: str) -> None:
    told = refused(capsys, *call.split())
    assert told.startswith("python -m pismo_lake")
    assert WRONG[call] in told


def test_no_command_at_all_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "Commands:" in told
    assert all(f"{code} {meaning}" in " ".join(told.split()) for code, meaning in EXIT_CODES.items())


def test_every_command_has_the_options_of_a_lake_and_a_help_text() -> None:
    app = build_app()
    commands = [*app.commands.values()]
    leaves = [leaf for command in commands for leaf in getattr(command, "commands", {"": command}).values()]
    assert len(leaves) > 12
    for leaf in leaves:
        options = {name for param in leaf.params for name in param.opts}
        wanted = {"--verbose", "-v"} | ({"--lake", "--ledger", "--delivery"} if leaf.name != "init" else set())
        assert wanted <= options, leaf.name
        assert leaf.help[0].isupper()
        assert leaf.help.partition("\n")[0].endswith(".")
        assert all(param.help and param.help[0].isupper() for param in leaf.params), leaf.name


def test_the_dialects_of_the_help_are_those_there_are() -> None:
    assert set(ENGINES) == set(DIALECTS)


def test_an_option_of_the_environment_gives_way(
    lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PISMO_LAKE", str(tmp_path / "elsewhere"))
    assert main(["--lake", lake, "files"]) == 0
    monkeypatch.setenv("PISMO_LAKE", lake)
    assert main(["files"]) == 0
    assert "local:" in capsys.readouterr().out
