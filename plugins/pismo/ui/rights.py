"""Ask Airflow for the user of a request, and for the deliveries that this user may read.

Airflow promises nothing about these modules, so they are imported only here, and tests run each of them.
"""

from typing import TYPE_CHECKING, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, get_user
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session

from pismo.names import INGEST

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser

__all__ = ["GetUserDep", "find_run", "get_user", "may_read_dag", "may_read_delivery", "may_start_runs"]


def may_read_delivery(name: str, user: "BaseUser") -> bool:
    """Return whether a person may see the pages of a delivery: that is the right to read its ingest DAG."""
    return may_read_dag(f"{INGEST}{name}", user)


def may_read_dag(dag_id: str, user: "BaseUser") -> bool:
    """Return whether a person may read a DAG; the DAG need not exist."""
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    return bool(get_auth_manager().is_authorized_dag(method="GET", details=details, user=user))


def may_start_runs(dag_id: str, user: "BaseUser") -> bool:
    """Return whether a person may trigger a DAG; the DAG need not exist."""
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    manager = get_auth_manager()
    return bool(manager.is_authorized_dag(method="POST", access_entity=DagAccessEntity.RUN, details=details, user=user))


def find_run(dag_id: str, run_id: str) -> tuple[dict[str, Any], Any] | None:
    """Return the Params and the logical date of a run; None if there is no such run."""
    with create_session() as session:
        runs = DagRun.find(dag_id=dag_id, run_id=run_id, session=session)
        return (dict(runs[0].conf or {}), runs[0].logical_date) if runs else None
