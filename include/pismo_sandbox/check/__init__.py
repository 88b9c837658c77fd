"""Compare a lake with the truth about its feed."""

__all__ = ["sample", "truth", "verify"]
