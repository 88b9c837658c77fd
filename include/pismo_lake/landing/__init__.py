"""Fetch files and keep their bytes; read notices."""
