"""What a person can set, checked; does no work."""
