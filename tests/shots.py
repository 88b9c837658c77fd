"""Take pictures of pages in Chromium: light, dark, and on a phone."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

CHROMIUM = shutil.which("chromium")
"""The path of Debian's Chromium; None if it is not installed (`scripts/chromium` installs it)."""


@dataclass(frozen=True, slots=True)
class Look:
    """A way to look at a page: its name, the width of the window, and the colours."""

    name: str
    width: int
    scheme: str


LOOKS = (Look("light", 1100, "light"), Look("dark", 1100, "dark"), Look("phone", 390, "light"))


@contextmanager
def browser() -> Iterator[Any]:
    """Start Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()
