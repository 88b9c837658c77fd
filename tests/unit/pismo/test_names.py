"""The deliveries file is found in the same way by commands and pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from pismo import names
from pismo.names import DELIVERIES, deliveries_file

USUAL = Path("config", "deliveries.yaml")


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DELIVERIES, "/etc/deliveries.yaml")
    assert deliveries_file() == "/etc/deliveries.yaml"


@pytest.mark.parametrize("unset", [None, ""])
def test_a_checkout_has_its_own_file(monkeypatch: pytest.MonkeyPatch, unset: str | None) -> None:
    monkeypatch.delenv(DELIVERIES, raising=False)
    if unset is not None:
        monkeypatch.setenv(DELIVERIES, unset)
    assert Path(deliveries_file()) == Path(__file__).parents[3] / USUAL


def test_an_installed_package_reads_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(DELIVERIES, raising=False)
    monkeypatch.setattr(names, "__file__", str(tmp_path / "site-packages" / "pismo" / "names.py"))
    monkeypatch.chdir(tmp_path)
    assert deliveries_file() == str(tmp_path / USUAL)
