"""Show a delivery with wrong settings as a DAG of its own, which fails with the error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator

from pismo.names import INGEST
from pismo_lake.errors import ConfigError
from pismo_lake.settings.deliveries import Delivery, InvalidDelivery, load_deliveries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow.sdk import Context


class InvalidDeliveryOperator(BaseOperator):
    """Fail with the error in the delivery's settings."""

    ui_color = "#f8d7da"

    def __init__(self, *, problem: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.problem = problem

    def execute(self, context: Context) -> None:  # noqa: ARG002 - the signature is Airflow's
        """Raise the error as `ConfigError`."""
        raise ConfigError(self.problem)


def checked_deliveries(path: str | Path) -> Iterator[Delivery | InvalidDelivery]:
    """Yield each delivery of the file; one whose notifiers cannot be loaded is invalid."""
    for delivery in load_deliveries(path):
        yield _check(delivery) if isinstance(delivery, Delivery) and delivery.alerted else delivery


def _check(delivery: Delivery) -> Delivery | InvalidDelivery:
    from pismo.notifications import check_notifiers

    try:
        check_notifiers(delivery)
    except ConfigError as error:
        return InvalidDelivery(delivery.name, f"delivery {delivery.name}: {error}")
    return delivery


def invalid_delivery_dag(delivery: InvalidDelivery) -> DAG:
    """Return the DAG that replaces the ingest DAG of an invalid delivery."""
    with DAG(
        dag_id=f"{INGEST}{_dag_name(delivery.name)}",
        schedule=None,
        tags=["pismo", "invalid"],
        doc_md=f"### Invalid delivery\n{delivery.problem}",
        default_args={"owner": "pismo", "retries": 0},
    ) as dag:
        InvalidDeliveryOperator(task_id="invalid_delivery", problem=delivery.problem)
    return dag


def _dag_name(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)[:200]
