"""A lake for the tests of commands."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import HOUR, event

from pismo_lake.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a lake with two events of an hour, its landing zone and ledger beside it."""
    for name in [name for name in os.environ if name.startswith("PISMO_")]:
        monkeypatch.delenv(name)
    for name in ("e-1", "e-2"):
        path = tmp_path / "feed" / HOUR / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(event(name))
    lake = str(tmp_path / "lake")
    assert main(["flatten", str(tmp_path / "feed"), "--lake", lake]) == 0
    return lake


@pytest.fixture
def document(lake: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Return a function that runs a command on the lake, and parses its stdout as JSON."""

    def run(*words: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert main([*words, "--json", "--lake", lake]) == code
        return json.loads(capsys.readouterr().out)

    return run
