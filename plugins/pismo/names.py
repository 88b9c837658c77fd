"""Name the deliveries file, the DAGs of a delivery, and the pages of the lake, for all code that needs them."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

DELIVERIES = "PISMO_DELIVERIES"
"""The environment variable of the deliveries file, as in the DAG files."""

INGEST, CLOSE, REPLAY, DOCTOR = "pismo_ingest_", "pismo_close_", "pismo_replay_", "pismo_doctor"
"""The first part of the ids of the ingest, close and replay DAGs, and the id of the doctor's DAG."""
FIRST_MOMENT = datetime(2020, 1, 1)  # noqa: DTZ001 - Airflow reads it in the timetable's zone
"""The start date of all DAGs, before all event files."""
PAGES = "/pismo"
"""The path of the pages, below that of Airflow."""


def deliveries_file() -> str:
    """Return the deliveries file of the environment, of this checkout, or of the current folder."""
    usual = Path("config", "deliveries.yaml")
    own = Path(__file__).resolve().parents[2] / usual
    return os.environ.get(DELIVERIES) or str(own if own.exists() else usual.absolute())


def delivery_path(delivery: str, page: str = "") -> str:
    """Return the path of a delivery, or of one of its pages, below that of all pages."""
    return f"/deliveries/{quote(delivery, safe='')}" + (f"/{page}" if page else "")


def day_path(delivery: str, day: str) -> str:
    """Return the path of a publish day, below that of all pages."""
    return delivery_path(delivery, f"days/{quote(day, safe='')}")
