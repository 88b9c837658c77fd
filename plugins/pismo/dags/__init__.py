"""Make the DAGs of each delivery, for a DAG file of three lines."""

from pismo.dags.build import build_dags
from pismo.dags.close import close_dag
from pismo.dags.doctor import doctor_dag
from pismo.dags.ingest import ingest_dag
from pismo.dags.replay import replay_dag

__all__ = ["build_dags", "close_dag", "doctor_dag", "ingest_dag", "replay_dag"]
