"""Pismo event files in Airflow: hooks, sensors, triggers and operators around `pismo_lake`."""
