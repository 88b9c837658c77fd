"""Airflow operators for Pismo."""
