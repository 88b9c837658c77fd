"""Show the runbooks, which the package and a checkout have as Markdown."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

_PLACES = (Path(__file__).parent / "runbooks", Path(__file__).parents[3] / "docs" / "runbooks")
_NAME = re.compile(r"[a-z][a-z-]*")
_LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


@lru_cache(maxsize=64)
def read_runbook(name: str) -> Markup | None:
    """Return a runbook as HTML; None if there is none of this name."""
    if not _NAME.fullmatch(name):
        return None
    for folder in _PLACES:
        path = folder / f"{name}.md"
        if path.is_file():
            text = _LINK.sub(_keep_link, path.read_text(encoding="utf-8"))
            made = MarkdownIt("commonmark", {"html": False}).enable("table")
            return Markup(made.render(text))  # noqa: S704 - our own text, and HTML in it is escaped
    return None


def _keep_link(found: re.Match[str]) -> str:
    """Keep a link to another runbook; of other links, keep the text."""
    title, target = found.groups()
    file = target.partition("#")[0]
    return f"[{title}]({file.removesuffix('.md')})" if _NAME.fullmatch(file.removesuffix(".md")) else title
