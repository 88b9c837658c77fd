"""The common part of the tasks of one delivery: its two arguments, its settings and its open ledger."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperator, BaseSensorOperator

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Iterator

    from airflow.sdk import Context

    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery


class DeliveryTask:
    """Open the delivery that a task names; the constructor is each base's own, because Airflow wraps it."""

    delivery_name: str
    deliveries_file: str

    def read_delivery(self) -> Delivery:
        """Return the delivery's settings."""
        from pismo_lake.settings.deliveries import find_delivery

        return find_delivery(self.deliveries_file, self.delivery_name)

    @contextmanager
    def open_delivery(self, context: Context) -> Iterator[tuple[Delivery, Ledger]]:
        """Open the delivery's storage and its ledger; what the task lands and builds carries the name of its run."""
        from pismo.connect.ledger import ledger_of

        delivery = self.read_delivery()
        with ledger_of(delivery, context) as ledger:
            yield delivery, ledger

    @property
    def task_log(self) -> logging.Logger:
        """The task's log, for functions that know no Airflow."""
        return cast("logging.Logger", cast("BaseOperator", self).log)


class DeliveryOperator(DeliveryTask, BaseOperator):
    """Base of the operators that work on one delivery."""

    template_fields: Collection[str] = ("delivery_name", "deliveries_file")

    def __init__(self, *, delivery_name: str, deliveries_file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delivery_name, self.deliveries_file = delivery_name, deliveries_file


class DeliverySensor(DeliveryTask, BaseSensorOperator):
    """Base of the sensors that wait for one delivery."""

    template_fields: Collection[str] = ("delivery_name", "deliveries_file")

    def __init__(self, *, delivery_name: str, deliveries_file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delivery_name, self.deliveries_file = delivery_name, deliveries_file
