"""Run Debian's promtool, which checks metrics and alert rules as Prometheus reads them."""

from __future__ import annotations

import shutil
import subprocess

import pytest

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool: run scripts/promtool")


def promtool(*arguments: str, given: str = "") -> str:
    """Return the output of a check that succeeds."""
    done = subprocess.run(["promtool", *arguments], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
