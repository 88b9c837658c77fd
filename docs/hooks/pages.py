"""Prepare pages for mkdocs: files from the repository's root, and parts made from the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from docs.hooks.reference import BLOCKS
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parents[2]
ROOT_PAGES = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "license.md": "LICENSE",
}
_BLOCK = re.compile(r"<!-- generated: ([a-z-]+) -->\n(.*?)<!-- /generated -->", re.DOTALL)
_FOREIGN = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^>]*>")
_LINK = re.compile(r"\]\(([^)#\s]+)([^)]*)\)")


def root_page(name: str) -> str:
    """Read a root file as a page of the site, with its links changed to those of the site."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if name == "LICENSE":
        return f"# License\n\n```text\n{text}```\n"
    pages = {source: page for page, source in ROOT_PAGES.items()}
    return _LINK.sub(lambda found: f"]({pages.get(found[1], found[1].removeprefix('docs/'))}{found[2]})", text)


def expand(text: str) -> str:
    """Fill the generated blocks of a page; a block without a source keeps its written text."""
    return _BLOCK.sub(lambda found: BLOCKS[found[1]]() or found[2], text)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages made from files in the root."""
    for page, name in ROOT_PAGES.items():
        files.append(File.generated(config, page, content=root_page(name)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Fill the generated blocks."""
    return expand(markdown)


def on_post_page(output: str, **_: object) -> str:
    """Refuse a page that loads anything from another host: the site must work offline."""
    foreign = _FOREIGN.search(output)
    if foreign:
        msg = f"the page loads something from another host: {foreign[0]}"
        raise PluginError(msg)
    return output
