"""What can go wrong in the demo, in words for whoever started it."""

from __future__ import annotations


class DemoError(Exception):
    """The demo cannot go on; its text says why and what to do."""


class PortTakenError(DemoError):
    """Somebody else took the port between choosing it and listening on it."""
