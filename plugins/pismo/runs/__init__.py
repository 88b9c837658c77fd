"""Do the work of one run, without operators."""

__all__ = ["drain", "dry_run", "find", "land", "window"]
