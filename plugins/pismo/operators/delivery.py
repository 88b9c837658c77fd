"""Open the delivery of a task: the code that all operators and sensors share."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperator, BaseSensorOperator

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Iterator

    from airflow.sdk import Context

    from pismo.signals.lineage import Lineage
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery


class DeliveryTask:
    """Open the delivery that a task names.

    Each base class has its own constructor, because Airflow wraps constructors.
    """

    delivery_name: str
    deliveries_file: str

    def read_delivery(self) -> Delivery:
        """Return the delivery's settings."""
        from pismo_lake.settings.deliveries import find_delivery

        return find_delivery(self.deliveries_file, self.delivery_name)

    @contextmanager
    def open_delivery(self, context: Context) -> Iterator[tuple[Delivery, Ledger]]:
        """Open the delivery's storage and ledger; ledger entries carry the name of the run."""
        from pismo.connect.ledger import ledger_of

        delivery = self.read_delivery()
        with ledger_of(delivery, context) as ledger:
            yield delivery, ledger

    @property
    def task_log(self) -> logging.Logger:
        """The task's log, for functions that do not import Airflow."""
        return cast("logging.Logger", cast("BaseOperator", self).log)


class DeliveryOperator(DeliveryTask, BaseOperator):
    """Base class of the operators that work on one delivery.

    A task that reads or writes data sets `lineage` when it runs, if the provider of OpenLineage is installed.
    """

    lineage: Lineage | None = None
    template_fields: Collection[str] = ("delivery_name", "deliveries_file")

    def __init__(self, *, delivery_name: str, deliveries_file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delivery_name, self.deliveries_file = delivery_name, deliveries_file

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - the provider's signature
        """Return the inputs and outputs of the task; the provider of OpenLineage calls this."""
        from pismo.signals.lineage import operator_lineage

        return operator_lineage(self.lineage)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Return the inputs and outputs of the task before it failed."""
        return self.get_openlineage_facets_on_complete(task_instance)


class DeliverySensor(DeliveryTask, BaseSensorOperator):
    """Base class of the sensors that wait for one delivery."""

    template_fields: Collection[str] = ("delivery_name", "deliveries_file")

    def __init__(self, *, delivery_name: str, deliveries_file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delivery_name, self.deliveries_file = delivery_name, deliveries_file
