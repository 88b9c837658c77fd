"""Compare a lake with the truth about its feed."""
