"""Check each right and key of a delivery on the machine that runs its tasks."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pismo.operators.delivery import DeliveryOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class ExamineDeliveryOperator(DeliveryOperator):
    """Run the doctor's checks of a delivery, log them as a table, and fail if one of them failed.

    A machine that runs tasks may have other credentials, another network and other packages than the machine of the
    command `doctor`. The checks leave no file behind and take no message.
    """

    ui_color = "#e8e4f7"

    def execute(self, context: Context) -> None:
        """Push the checks to XCom: name, state, finding and advice of each.

        Raises:
            ChecksFailedError: A check failed.
        """
        from pismo.checks.check import State, table
        from pismo.checks.doctor import examine
        from pismo_lake.errors import ChecksFailedError

        params = context["params"]
        delivery = self.read_delivery()
        key, other_host = (str(params.get(name) or "").strip() or None for name in ("object_key", "other_host"))
        checks = list(examine(delivery, key=key, other_host=other_host))
        self.log.info("checks of %s:\n%s", delivery.name, table(checks))
        context["ti"].xcom_push(key="checks", value=[asdict(check) for check in checks])
        failed = [check.name for check in checks if check.state is State.FAIL]
        if failed:
            msg = f"{delivery.name}: {len(failed)} of {len(checks)} checks failed: {', '.join(failed)}"
            raise ChecksFailedError(msg)
