"""Define the demo's errors, with texts for the person who started it."""

from __future__ import annotations


class DemoError(Exception):
    """The demo cannot continue; its text says why, and names the remedy."""


class PortTakenError(DemoError):
    """Another process took the port between choosing it and listening on it."""
