"""Tell people about a delivery."""

__all__ = ["delivery"]
