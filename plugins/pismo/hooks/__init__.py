"""Airflow hooks for Pismo."""
