"""Tell people about a delivery."""
