"""A local Pismo look-alike: seeded events, batch files like Pismo's, and S3, STS and KMS."""
