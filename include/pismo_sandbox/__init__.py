"""A local Pismo look-alike: seeded events, batch files as Pismo writes them, and S3, STS and KMS to fetch them from."""
