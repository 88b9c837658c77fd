"""The SQL record of the files that are landed, indexed and built."""
