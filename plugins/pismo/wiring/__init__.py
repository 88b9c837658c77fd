"""Build the parts that both DAG files share: facts, schedule, retries, invalid deliveries."""

from pismo.wiring.facts import facts_of
from pismo.wiring.invalid import InvalidDeliveryOperator, checked_deliveries, invalid_delivery_dag
from pismo.wiring.retries import TASK_DEFAULTS
from pismo.wiring.schedule import schedule_of

__all__ = [
    "TASK_DEFAULTS",
    "InvalidDeliveryOperator",
    "checked_deliveries",
    "facts_of",
    "invalid_delivery_dag",
    "schedule_of",
]
