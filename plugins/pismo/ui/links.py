"""Make the addresses of pages, of Airflow's own pages, and of runbooks."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

PREFIX = "/pismo"
RUNBOOKS = {
    "day": ("Reload a date", "reload-a-date"),
    "file": ("A damaged file", "damaged-file"),
    "missing": ("Pismo was down", "pismo-was-down"),
    "stray": ("Files that differ from the ledger", "unknown-files"),
    "letters": ("Dead letters", "dead-letters"),
    "late": ("We were down", "we-were-down"),
    "ledger": ("The ledger is lost", "ledger-lost"),
}
"""The runbooks that pages name: title, and file in docs/runbooks."""


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses below the path that Airflow is reached at; `root` is that path and the prefix of the pages."""

    root: str

    @property
    def airflow(self) -> str:
        """The path of Airflow itself, without a slash at its end."""
        return self.root.removesuffix(PREFIX)

    def home(self) -> str:
        """Return the address of all deliveries."""
        return f"{self.root}/"

    def delivery(self, name: str, page: str = "", **query: str | None) -> str:
        """Return the address of a delivery, or of one of its pages."""
        asked = urlencode({key: value for key, value in query.items() if value})
        path = f"{self.root}/deliveries/{quote(name, safe='')}" + (f"/{page}" if page else "")
        return f"{path}?{asked}" if asked else path

    def day(self, name: str, day: str) -> str:
        """Return the address of a publish day."""
        return self.delivery(name, f"days/{quote(day, safe='')}")

    def run(self, text: str) -> str | None:
        """Return the address of a run in Airflow, by the ledger's text *DAG run*; None for a command."""
        dag_id, _, run_id = text.partition(" ")
        if not run_id or not dag_id.startswith(("pismo_ingest_", "pismo_close_")):
            return None
        return f"{self.airflow}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"

    def dag(self, dag_id: str) -> str:
        """Return the address of a DAG in Airflow."""
        return f"{self.airflow}/dags/{quote(dag_id, safe='')}"
