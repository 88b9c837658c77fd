"""Serve S3, SNS and SQS with moto."""

__all__ = ["notices", "queues", "server"]
