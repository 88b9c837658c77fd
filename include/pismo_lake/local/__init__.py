"""Flatten files without Airflow, on all cores."""
