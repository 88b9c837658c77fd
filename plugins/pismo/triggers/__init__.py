"""Wait in the triggerer."""

__all__ = ["new_files", "notices_waiting"]
