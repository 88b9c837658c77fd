"""Connect Airflow to Pismo's event files: hooks, sensors, triggers and operators around `pismo_lake`."""

__all__: list[str] = []
