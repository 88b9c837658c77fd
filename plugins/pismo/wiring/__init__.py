"""Put both DAG files together: schedule, retries, invalid deliveries."""

__all__ = ["invalid", "retries", "schedule"]
