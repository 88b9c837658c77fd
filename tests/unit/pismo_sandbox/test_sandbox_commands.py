"""The look-alike's commands refuse to publish nothing, or to compare with nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pismo_sandbox.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("wrong", [["--hours", "-1"], ["--mb", "0"], ["--mb", "nan"], ["--end", "soon"]])
def test_a_feed_of_nothing_is_a_wrong_call(tmp_path: Path, wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["generate", "--out", str(tmp_path), *wrong])
    assert ended.value.code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_truth_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["verify", "--lake", str(tmp_path), "--truth", str(tmp_path / "typo.db")])
    assert ended.value.code == 2
    assert f"no file {tmp_path / 'typo.db'}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_lake_that_is_not_there_lacks_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    feed = ["--hours", "0.2", "--mb", "0.1", "--end", "2026-03-01T03:00"]
    assert main(["generate", "--out", str(tmp_path), *feed]) == 0
    assert main(["verify", "--lake", str(tmp_path / "typo"), "--truth", str(tmp_path / "truth.db")]) == 1
    assert " 0 problems" not in capsys.readouterr().out


def test_a_project_that_is_not_there_is_not_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["try", str(tmp_path / "typo")]) == 2
    assert f"make a project with  pismo-lake init {tmp_path / 'typo'}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_lake_of_an_earlier_try_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("dags", "config", "sandbox/lake"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "config" / "deliveries.yaml").touch()
    assert main(["try", str(tmp_path)]) == 2
    assert "has the lake of an earlier try: remove or rename it first" in capsys.readouterr().err
    assert (tmp_path / "sandbox" / "lake").is_dir()
