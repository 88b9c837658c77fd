"""Queues of new-file notices."""
