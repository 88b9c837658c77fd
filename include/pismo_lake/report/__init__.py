"""Say whether a day is complete, and prove it."""
