"""Report how far a long step is, by its files and bytes."""

from __future__ import annotations

from typing import Protocol

_MEGABYTE = 999_950  # shown with one decimal, anything from here on is 1.0 MB


class Progress(Protocol):
    """Something that shows how far a step is."""

    def start(self, step: str, total: int, size: int = 0, noun: str = "files") -> None:
        """Begin a step of `total` things and `size` bytes; the one before it has ended."""

    def advance(self, count: int = 1, size: int = 0) -> None:
        """Count things and bytes that are done."""


class NoProgress:
    """Show nothing."""

    def start(self, step: str, total: int, size: int = 0, noun: str = "files") -> None:
        """Begin a step."""

    def advance(self, count: int = 1, size: int = 0) -> None:
        """Count finished items."""


SILENT: Progress = NoProgress()


def size_text(size: float) -> str:
    """Return a number of bytes in kB below a megabyte, else in MB.

    >>> size_text(0), size_text(999_949), size_text(999_950), size_text(12_345_678)
    ('0.0 kB', '999.9 kB', '1.0 MB', '12.3 MB')
    """
    return f"{size / 1e6:.1f} MB" if size >= _MEGABYTE else f"{size / 1e3:.1f} kB"
