"""Open pages in Debian's Chromium; a test that needs it is skipped if it is missing."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page


@contextmanager
def browser_page() -> Iterator[Page]:
    """Yield an empty page that waits as long as the slowest machine needs."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no Chromium here: scripts/chromium installs it")
    with sync_playwright() as playwright:
        # root has no sandbox of Chromium's
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"], timeout=PATIENCE * 1000)
        page = browser.new_page(viewport={"width": 1200, "height": 1400})
        page.set_default_timeout(PATIENCE * 1000)
        try:
            yield page
        finally:
            browser.close()
