"""Open the source, the queue and the ledger that a delivery names."""

__all__ = ["ledger", "queue", "source"]
