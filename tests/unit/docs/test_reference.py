"""Check that the generated parts of the reference hold everything that the code has."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from docs.hooks import reference
from docs.hooks.pages import ROOT_PAGES, expand, on_post_page, root_page
from mkdocs.exceptions import PluginError

from pismo_lake import errors
from pismo_lake.contracts.tree import Kind
from pismo_lake.decode.fields import ENVELOPE
from pismo_lake.ledger.tables import metadata
from pismo_lake.reasons import REJECT_REASONS, RESCUE_REASONS

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def test_every_block_has_a_function_and_every_function_a_page() -> None:
    named = [name for page in PAGES for name in re.findall(r"<!-- generated: (\S+) -->", page.read_text())]
    assert sorted(named) == sorted(reference.BLOCKS)


def test_a_page_keeps_none_of_the_notes_in_its_blocks() -> None:
    for page in PAGES:
        text = page.read_text()
        if "<!-- generated:" in text and page.stem != "deliveries":
            assert "This part is made from" in text
            assert "This part is made from" not in expand(text)


def test_commands_are_found_at_every_depth() -> None:
    found = {" ".join(words) for words in reference.commands_of("pismo_lake")}
    assert {"flatten", "where-is", "ledger rebuild", "contracts adopt"} <= found
    assert not {"ledger", "contracts", ""} & found
    assert list(reference.commands_of("pismo")) == [("doctor",)]


def test_the_page_of_commands_has_every_option() -> None:
    page = reference.commands()
    assert "Usage: python -m pismo_lake ledger rebuild" in page
    assert "--get-object-only" in page
    assert "--other-host" in page
    assert str(ROOT) not in page


def test_every_error_is_listed_with_its_kind() -> None:
    page = reference.errors()
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert len(classes) > 15
    assert [each.__name__ for each in classes if f"`{each.__name__}`" not in page] == []
    assert "&emsp;&emsp;`FileMissing` | temporary |" in page


def test_every_ledger_table_and_column_has_a_doc() -> None:
    page = reference.ledger_tables()
    for table in metadata.sorted_tables:
        assert f"## `{table.name}`" in page
        assert table.info["doc"]
        assert [column.name for column in table.columns if not column.doc] == []


def test_public_packages_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "rooms"
    package.mkdir()
    (package / "__init__.py").write_text('"""Hold rooms."""\n\n__all__ = ["door"]\n\ndoor = 1\n')
    (tmp_path / "inner.py").write_text("")
    monkeypatch.setattr("pismo_lake.__path__", [*reference.pismo_lake.__path__, str(tmp_path)])
    found = reference.public_modules()
    assert "pismo_lake.rooms" in found
    assert "pismo_lake.errors" in found
    assert "pismo_lake.inner" not in found


RAISED = {"UnusableEventError", "_Unfit", "Span", "damage", "rescue"}


def _reasons_in_code() -> set[str]:
    """Find the reasons in the code: in calls, in assignments, in rows."""
    words: set[str] = set()
    for path in (ROOT / "include" / "pismo_lake").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in RAISED:
                    given: list[ast.expr] = node.args
                case ast.Assign(targets=[ast.Name(id="reason")]):
                    given = [node.value]
                case ast.Assign(targets=[ast.Tuple(elts=[_, ast.Name(id="reason")])], value=ast.Tuple(elts=[_, value])):
                    given = [value]
                case ast.Dict():
                    given = [v for k, v in zip(node.keys, node.values, strict=True) if _text(k) == "reason"]
                case _:
                    continue
            words |= {text for each in given for part in _branches(each) if (text := _text(part))}
    return {word for word in words if re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", word)}


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _branches(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.IfExp):
        return [*_branches(node.body), *_branches(node.orelse)]
    return node.values if isinstance(node, ast.BoolOp) else [node]


def test_every_reason_in_the_code_is_documented_and_no_other() -> None:
    kinds = {f"not_{kind}" for kind in Kind} - {"not_null", "not_json"}  # JSON text takes every value
    kinds |= {f"missing_{field.key}" for field in ENVELOPE if field.required}
    assert _reasons_in_code() | kinds == REJECT_REASONS.keys() | RESCUE_REASONS.keys()


def test_pages_from_the_root_link_inside_the_site() -> None:
    assert {(ROOT / name).exists() for name in ROOT_PAGES.values()} == {True}
    text = root_page("README.md")
    assert "](tutorial/first-lake.md)" in text
    assert "](contributing.md)" in text
    assert "](docs/" not in text


@pytest.mark.parametrize("tag", ['<script src="https://a/b.js">', "<link rel=stylesheet href=//a/b.css>"])
def test_a_page_that_loads_from_another_host_is_refused(tag: str) -> None:
    with pytest.raises(PluginError, match="another host"):
        on_post_page(f"<html>{tag}</html>")
    assert on_post_page('<a href="https://a/">') == '<a href="https://a/">'
