"""Show the state of the lake as pages in Airflow, and as views of its DAGs and runs."""
