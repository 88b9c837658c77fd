"""Wait for files, and for a day to settle."""

__all__ = ["new_files", "settled"]
