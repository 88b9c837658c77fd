"""Measurements of the lake's own work; nothing here is asserted."""
