"""The demo: a look-alike Pismo, real Airflow, the ingestion DAG run by its scheduler, and the result checked."""
