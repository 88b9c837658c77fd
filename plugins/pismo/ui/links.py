"""Make the addresses of pages, of Airflow's own pages, and of runbooks."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from pismo.names import CLOSE, INGEST, PAGES, day_path, delivery_path

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
        return self.root.removesuffix(PAGES)

    def home(self) -> str:
        """Return the address of all deliveries."""
        return f"{self.root}/"

    def delivery(self, name: str, page: str = "", **query: str | None) -> str:
        """Return the address of a delivery, or of one of its pages."""
        asked = urlencode({key: value for key, value in query.items() if value})
        path = self.root + delivery_path(name, page)
        return f"{path}?{asked}" if asked else path

    def day(self, name: str, day: str) -> str:
        """Return the address of a publish day."""
        return self.root + day_path(name, day)

    def start(self, name: str, dag: str, **params: object) -> str:
        """Return the address of the page that starts a run of a delivery's DAG; lists are lines."""
        return self.delivery(name, "run", dag=dag, **{key: _param_text(value) for key, value in params.items()})

    def started(self, name: str, dag: str, run_id: str) -> str:
        """Return the address of the page of a run that a person has started here."""
        return self.delivery(name, "started", dag=dag, run=run_id)

    def dag_run(self, dag_id: str, run_id: str) -> str:
        """Return the address of a run in Airflow."""
        return f"{self.dag(dag_id)}/runs/{quote(run_id, safe='')}"

    def run(self, text: str) -> str | None:
        """Return the address of a run in Airflow, by the ledger's text *DAG run*; None for a command."""
        dag_id, _, run_id = text.partition(" ")
        if not run_id or not dag_id.startswith((INGEST, CLOSE)):
            return None
        return self.dag_run(dag_id, run_id)

    def dag(self, dag_id: str) -> str:
        """Return the address of a DAG in Airflow."""
        return f"{self.airflow}/dags/{quote(dag_id, safe='')}"


def _param_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "\n".join(value) if isinstance(value, list | tuple) else str(value)
