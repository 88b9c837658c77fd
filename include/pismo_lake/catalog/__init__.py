"""Offer the lake's Parquet files as tables of a table format, through a catalog."""
