"""Check each right and key of a delivery."""

__all__ = ["check", "doctor", "letter", "reading", "s3", "sftp"]
