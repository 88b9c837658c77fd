"""Serve Cloud Storage and Pub/Sub as far as deliveries need them."""

__all__ = ["broker", "cloud", "model", "pubsub", "storage"]
