"""Pismo event files to a Parquet lake, in plain Python: decode, index, dedupe, flatten, record. Imports no Airflow."""
