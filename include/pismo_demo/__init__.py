"""Run the demo: a look-alike Pismo, real Airflow, the ingestion DAG, a check of the result."""

__all__: list[str] = []
