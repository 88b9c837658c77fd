"""Check each right and key of a delivery."""

__all__ = ["check", "doctor", "reading", "s3", "sftp"]
