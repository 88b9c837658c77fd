"""Make the events and files that Pismo would publish."""
