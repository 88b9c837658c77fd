"""Serve S3, SNS and SQS with moto."""

__all__ = ["notices", "odd_store", "queues", "server"]
