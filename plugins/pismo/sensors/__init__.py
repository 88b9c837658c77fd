"""Airflow sensors for Pismo."""
