"""Read notices from a queue, through the hook of its provider."""

__all__ = ["message", "pubsub", "sqs"]
