"""What one run does, without operators."""
