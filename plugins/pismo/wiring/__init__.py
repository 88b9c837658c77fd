"""The parts that both DAG files are put together from."""
