"""Check each right and key of a delivery on the machine that runs its tasks."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pismo.operators.delivery import DeliveryOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from pismo.checks.check import Check
    from pismo_lake.settings import Delivery


class ExamineDeliveryOperator(DeliveryOperator):
    """Run the doctor's checks of a delivery, log them as a table, and fail if one of them failed.

    A machine that runs tasks may have other credentials, another network and other packages than the machine of the
    command `doctor`. The checks leave no file behind and take no message. The page shows their result, which the lake
    keeps.
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
        self._keep(delivery, checks)
        context["ti"].xcom_push(key="checks", value=[asdict(check) for check in checks])
        failed = [check.name for check in checks if check.state is State.FAIL]
        if failed:
            msg = f"{delivery.name}: {len(failed)} of {len(checks)} checks failed: {', '.join(failed)}"
            raise ChecksFailedError(msg)

    def _keep(self, delivery: Delivery, checks: Sequence[Check]) -> None:
        """Keep the checks for the page; if that fails, the log says so, and the checks decide."""
        from pismo.checks.latest import keep_checks
        from pismo.connect.storage import configure_storage

        try:
            configure_storage(delivery)
            kept = keep_checks(delivery.settings, checks, datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 - a check has named the cause already
            self.log.warning("the page cannot show these checks: %s", type(error).__name__)
        else:
            if not kept:
                self.log.info("the page shows checks once the first run has begun the lake")
