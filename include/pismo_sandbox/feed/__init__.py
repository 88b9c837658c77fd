"""Make the events and files that Pismo would publish."""

__all__ = ["accounting", "batch", "events", "payloads", "personal", "publisher"]
