"""Name the assets of a delivery, and name the changes in their events.

The assets have names and no URI of their own. For a URI with a scheme such as s3, Airflow loads all providers at each
parse of a DAG file and each start of a task: 2 CPU seconds. So the events carry the URI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

if TYPE_CHECKING:
    from pismo_lake.build.changes import Changes
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery


def lake_asset(delivery_name: str) -> Asset:
    """Return the asset of the delivery's rows: an event for each run that wrote some."""
    return Asset(f"pismo_lake_{delivery_name}")


def days_asset(delivery_name: str) -> Asset:
    """Return the asset of complete days: a partition for each event date of a closed day."""
    return Asset(f"pismo_days_{delivery_name}")


def extra_of(delivery: Delivery, ledger: Ledger, changes: Changes) -> dict[str, Any]:
    """Return the extra of an event: the place of the rows, and the changes there.

    If the lake has tables, `snapshots` has the id of the present snapshot of each changed table that is listed.
    """
    scheme = "" if "://" in delivery.lake else "file://"
    changed = changes.to_json()
    extra = {"delivery": delivery.name, "uri": f"{scheme}{delivery.lake}/events", **changed}
    if delivery.table_format is None:
        return extra
    from pismo.connect.ledger import settings_of
    from pismo_lake.catalog.lake import snapshot_ids
    from pismo_lake.paths import type_folder

    folders = [type_folder(*name.split("/", 1)) for name in changed["tables"]]
    return extra | {"snapshots": snapshot_ids(settings_of(delivery), ledger, folders)}
