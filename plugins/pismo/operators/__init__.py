"""Run the work as Airflow tasks."""

__all__ = ["flatten", "index", "land", "report"]
