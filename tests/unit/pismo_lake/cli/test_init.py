"""Test that `init` writes a whole project, and that other packages may add commands."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint, EntryPoints
from typing import TYPE_CHECKING

import pytest

from pismo_lake.cli import added
from pismo_lake.cli.main import main
from pismo_lake.settings.deliveries import Delivery, load_deliveries
from pismo_lake.settings.schema import deliveries_schema

if TYPE_CHECKING:
    from pathlib import Path


def test_the_project_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["init", str(tmp_path / "new")]) == 0
    root = tmp_path / "new"
    deliveries = root / "config" / "deliveries.yaml"
    first = deliveries.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=deliveries.schema.json"
    assert json.loads((deliveries.parent / "deliveries.schema.json").read_text(encoding="utf-8")) == deliveries_schema()
    for line in (root / ".env.example").read_text(encoding="utf-8").splitlines():
        name, found, value = line.partition("=")
        if found and name.startswith("PISMO_"):
            monkeypatch.setenv(name, value)
    (delivery,) = load_deliveries(deliveries)
    assert isinstance(delivery, Delivery), delivery.problem
    assert delivery.lake == f"{root}/data/lake"


def test_a_file_that_is_there_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "deliveries.yaml").write_text("mine")
    assert main(["init", str(tmp_path)]) == 1
    assert str(tmp_path / "config" / "deliveries.yaml") in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["config"]
    assert [path.read_text() for path in (tmp_path / "config").iterdir()] == ["mine"]


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("pismo-lake ")


def test_an_installed_package_adds_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    points = EntryPoints([EntryPoint("double", "builtins:len", added.COMMANDS)])
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **wanted: points.select(**wanted))
    assert added.find_command("double") is len
    assert added.find_command("flatten") is None
    # it is among the commands there are
    for words, told in ((["dubble"], "the commands are double, "), (["-v", "double"], "give double first")):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
        assert told in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "double     Installed by another package" in capsys.readouterr().out
