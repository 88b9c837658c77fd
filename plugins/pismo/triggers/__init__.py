"""Airflow triggers for Pismo."""
