"""Check that the names in documents exist: make targets, commands, options, settings, links."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from docs.hooks.pages import ROOT_PAGES, expand

from pismo_lake.settings.alerts import Alerts, NotifierAlerts
from pismo_lake.settings.channels import GcsSource, Notices, S3Source, SftpSource
from pismo_lake.settings.contracts import parse_rules
from pismo_lake.settings.deliveries import Delivery, InvalidDelivery, load_deliveries
from pismo_lake.settings.privacy import STRICT, load_privacy
from pismo_lake.settings.replay import Replay

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = [*(ROOT / "include").rglob("*.py"), *(ROOT / "plugins").rglob("*.py"), *(ROOT / "dags").rglob("*.py")]
COMMAND_LINE = ROOT / "docs" / "how-to" / "command-line.md"
SETTINGS = [
    *(ROOT / "config").rglob("*.yaml"),
    ROOT / "Makefile",
    ROOT / "docker-compose.yaml",
    ROOT / "tests" / "unit" / "test_same_lake.py",
    *CODE,
]
AIRFLOW_COMMANDS = {
    "dags trigger", "dags unpause", "backfill create", "connections add", "pools import", "pools set", "providers list",
}  # fmt: skip
MAINS = {"pismo_lake": "pismo_lake.cli.main", "pismo": "pismo.__main__", "pismo_sandbox": "pismo_sandbox.__main__"}
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def texts() -> str:
    return "\n".join(path.read_text() for path in DOCUMENTS)


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def blocks(document: Path, language: str) -> list[str]:
    # a block inside a list is indented
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", document.read_text(), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)\)", document.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (document.parent / link).exists()] == []


def test_every_document_is_reached_from_the_readme() -> None:
    linked = {
        (path.parent / link).resolve()
        for path in DOCUMENTS
        for link in re.findall(r"\]\(([^)#\s]+)\)", path.read_text())
    }
    assert [str(path) for path in DOCUMENTS if path not in linked and path.name != "README.md"] == []


def test_pages_that_the_code_names_exist() -> None:
    files = [*SETTINGS, *ROOT.glob("*.example"), *(ROOT / "docs").rglob("*.yaml")]
    texts_of_code = [path.read_text() for path in files]
    named = {name for text in texts_of_code for name in re.findall(r"docs/[\w/.-]+\.(?:md|yaml)", text)}
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_make_targets_exist() -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", texts(), re.MULTILINE))
    assert {"demo", "demo-down", "test", "docs", "help"} <= named
    assert named - make_targets() == set()


def test_every_make_target_has_help() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^  ([a-z-]+) ", done.stdout, re.MULTILINE))
    assert listed == make_targets()


def commands() -> list[tuple[str, tuple[str, ...]]]:
    """Return (module, words) of each `python -m` in the documents, without the words' values."""
    found = set()
    for module, rest in re.findall(r"python -m (pismo\w*)([^\n`|#]*)", texts()):
        words = tuple(word for word in rest.split() if re.fullmatch(r"[a-z][a-z-]*|--[a-z-]+", word))
        if words:
            found.add((module, words))
    return sorted(found)


@pytest.mark.parametrize(
    ("module", "words"), commands(), ids=lambda value: " ".join(value) if isinstance(value, tuple) else value
)
def test_commands_and_their_options_exist(
    module: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    names = [word for word in words if not word.startswith("--")]
    main = importlib.import_module(MAINS[module]).main
    # values such as the delivery's name look like words too; help ends the reading before they matter
    with pytest.raises(SystemExit) as ended:
        main([*names[: 2 if names[0] in {"ledger", "contracts"} else 1], "--help"])
    assert ended.value.code == 0
    usage = capsys.readouterr().out
    assert [word for word in words if word.startswith("--") and word not in usage] == []


def test_every_command_is_documented() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pismo_lake", "--help"], env=os.environ | {"PYTHONPATH": str(ROOT / "include")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = re.findall(r"^  ([a-z-]+)  ", done.stdout.partition("Commands:")[2].partition("\n\n")[0], re.MULTILINE)
    assert names
    page = COMMAND_LINE.read_text()
    assert [name for name in names if f"python -m pismo_lake {name}" not in page] == []


def test_environment_variables_exist() -> None:
    named = set(re.findall(r"`(PISMO_[A-Z_]+)[`=]", texts()))
    used = set(re.findall(r"\bPISMO_[A-Z_]+", "\n".join(path.read_text() for path in SETTINGS)))
    assert "PISMO_DELIVERIES" in named
    assert named - used == set()


def test_airflow_commands_are_known() -> None:
    named = set(re.findall(r"(?:^|`) *airflow ([a-z]+ [a-z]+)", texts(), re.MULTILINE))
    assert named - AIRFLOW_COMMANDS == set()


@each_document
def test_json_blocks_are_json(document: Path) -> None:
    for block in blocks(document, "json"):
        json.loads(block)


def test_runs_are_given_params_that_the_dag_has() -> None:
    found = re.findall(r"dags trigger pismo_(ingest|close)_\w+ --conf '(.*?)'", texts())
    assert len(found) == texts().count("--conf '")
    for kind, conf in found:
        known = importlib.import_module(f"pismo.dags.{kind}").PARAMS
        assert json.loads(conf).keys() - known.keys() == set()


def deliveries_in(text: str, folder: Path) -> list[Delivery | InvalidDelivery]:
    path = folder / "deliveries.yaml"
    path.write_text(text)
    return list(load_deliveries(path))


def test_the_deliveries_of_the_documents_are_valid(tmp_path: Path) -> None:
    found = {
        document: delivery
        for document in DOCUMENTS
        for block in blocks(document, "yaml")
        if block.startswith("deliveries:")
        for delivery in deliveries_in(block, tmp_path)
    }
    assert [each for each in found.values() if not isinstance(each, Delivery)] == []
    assert {path.stem: str(each.channel) for path, each in found.items() if path.parent.name == "how-to"} == {
        "catalog": "s3", "connect-s3": "s3", "connect-sftp": "sftp",
        "connect-gcs": "gcs", "setup-aws": "s3", "setup-gcp": "gcs",
        "deploy-mwaa": "s3", "deploy-composer": "gcs", "deploy-astro": "sftp",
    }  # fmt: skip
    assert [str(each.channel) for path, each in found.items() if path.name == "README.md"] == ["s3"]


def test_the_notices_and_alerts_of_the_documents_are_valid(tmp_path: Path) -> None:
    (whole,) = blocks(ROOT / "docs" / "how-to" / "connect-s3.md", "yaml")
    (notices,) = blocks(ROOT / "docs" / "how-to" / "notices.md", "yaml")
    (alerts,) = blocks(ROOT / "docs" / "how-to" / "alerts.md", "yml")
    (replay,) = blocks(ROOT / "docs" / "how-to" / "replay.md", "yml")
    (days,) = blocks(ROOT / "docs" / "how-to" / "days.md", "yml")
    (delivery,) = deliveries_in(whole + textwrap.indent(notices, "    ") + alerts + replay + days, tmp_path)
    assert isinstance(delivery, Delivery)
    assert delivery.notices is not None
    assert delivery.alerts is not None
    assert delivery.replay is not None
    assert delivery.close_tasks > 1


def test_every_yaml_block_is_checked() -> None:
    others = [
        document.name
        for document in DOCUMENTS
        for block in blocks(document, "yaml")
        if not block.startswith("deliveries:")
    ]
    assert others == ["notices.md"]
    assert {document.stem for document in DOCUMENTS if blocks(document, "yml")} == {
        "alerts", "contracts", "days", "privacy", "pull-schemas", "replay",
    }  # fmt: skip


def test_the_pull_of_the_documents_is_valid(tmp_path: Path) -> None:
    (whole,) = blocks(ROOT / "docs" / "how-to" / "connect-gcs.md", "yaml")
    (pull,) = blocks(ROOT / "docs" / "how-to" / "pull-schemas.md", "yml")
    (delivery,) = deliveries_in(whole + pull, tmp_path)
    assert isinstance(delivery, Delivery), delivery
    assert delivery.contracts.pull is not None


def test_the_contracts_and_the_privacy_policy_of_the_documents_are_valid(tmp_path: Path) -> None:
    (contracts,) = blocks(ROOT / "docs" / "how-to" / "contracts.md", "yml")
    setting, policy = blocks(ROOT / "docs" / "how-to" / "privacy.md", "yml")
    assert parse_rules(yaml.safe_load(contracts)["contracts"]).mode_of("audit/x-1") == "freeze"
    assert yaml.safe_load(setting)["privacy"] == STRICT
    (tmp_path / "policy.yaml").write_text(policy)
    assert len(load_privacy(str(tmp_path / "policy.yaml")).rules) == 3 + len(load_privacy(STRICT).rules)


@pytest.mark.parametrize("path", sorted((ROOT / "config").rglob("*.yaml")), ids=lambda path: path.name)
def test_every_deliveries_file_here_is_valid(path: Path) -> None:
    assert [delivery for delivery in load_deliveries(path) if not isinstance(delivery, Delivery)] == []


def test_every_delivery_setting_is_documented_with_its_default() -> None:
    page = expand((ROOT / "docs" / "reference" / "deliveries.md").read_text())
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    documented = {name: cells[2].strip(" `") for cells in rows for name in re.findall(r"`([\w.]+)`", cells[1])}
    settings = {
        f"{prefix}.{field.name}": field.default
        for kind, prefix in (
            (S3Source, "source"),
            (SftpSource, "source"),
            (GcsSource, "source"),
            (Notices, "notices"),
            (Alerts, "alerts"),
            (NotifierAlerts, "alerts"),
            (Replay, "replay"),
        )
        for field in fields(kind)
    }
    settings |= {field.name: field.default for field in fields(Delivery) if field.name not in {"name", "source"}}
    assert settings.keys() - documented.keys() == set()
    for name, default in settings.items():
        if isinstance(default, int | float | str):
            shown = f"{default:g}" if isinstance(default, float) else str(default) or "none"
            shown = shown.lower() if isinstance(default, bool) else shown
            assert (name, documented[name]) == (name, shown)


def test_the_picture_is_small() -> None:
    assert sum(path.stat().st_size for path in (ROOT / "docs" / "img").iterdir()) < 300_000


def test_the_changelog_has_an_unreleased_part() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def test_pre_commit_runs_only_what_is_here() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {repository["repo"] for repository in config["repos"]} == {"local"}


@pytest.mark.parametrize("kind", ["ingest", "close"])
def test_every_dag_parameter_and_task_is_documented(kind: str) -> None:
    code = (ROOT / "plugins/pismo/dags" / f"{kind}.py").read_text()
    page = (ROOT / "docs" / "reference" / "dags.md").read_text()
    (part,) = [each for each in page.split("\n## ") if each.startswith(f"`pismo_{kind}_")]
    names = [*re.findall(r'"(\w+)": Param\(', code), *re.findall(r'task_id="(\w+)"', code)]
    assert len(names) >= 10
    assert [name for name in names if f"`{name}`" not in part] == []


def pages_of(nav: list[object]) -> list[str]:
    """List the pages of the navigation, at every depth."""
    found: list[str] = []
    for entry in nav:
        below = next(iter(entry.values())) if isinstance(entry, dict) else entry
        found += pages_of(below) if isinstance(below, list) else [str(below)]
    return found


def test_every_page_is_in_the_navigation() -> None:
    written = [path.relative_to(ROOT / "docs").as_posix() for path in DOCUMENTS if path.is_relative_to(ROOT / "docs")]
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert sorted(pages_of(config["nav"])) == sorted([*written, *ROOT_PAGES])


def test_the_site_needs_no_other_host() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert config["theme"]["font"] is False
    assert {"extra_css", "extra_javascript", "edit_uri", "repo_url"}.isdisjoint(config)


def test_the_readme_is_short_and_begins_with_the_status() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    assert "not yet run against the real Pismo" in "".join(lines[:6])


def test_the_workflow_runs_targets_that_exist_on_every_supported_python() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    for job in jobs.values():
        assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    runs = [step["run"].split() for job in jobs.values() for step in job["steps"] if "run" in step]
    assert {program for program, *_ in runs} == {"make"}
    assert {target for _, target, *_ in runs} - make_targets() == set()
    quick = {step["run"].split()[1] for step in jobs["quick"]["steps"] if "run" in step}
    assert {"lint", "types", "docs", "test-unit"} <= quick
