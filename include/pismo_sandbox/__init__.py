"""Simulate Pismo on this machine: seeded events, batch files like Pismo's, and S3, STS and KMS."""

__all__: list[str] = []
