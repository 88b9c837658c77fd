"""Describe the inputs and outputs of a task as OpenLineage, if its provider is installed.

Nothing of OpenLineage is imported before the provider asks for it. A dataset is a table, never a file or a date, so
that there are hundreds of them and not millions.
"""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pismo_lake.build.changes import changes_of_day, changes_of_run
from pismo_lake.settings.channels import SFTP_ENDPOINTS, Channel, bucket_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pismo_lake.build.changes import Changes
    from pismo_lake.hours import PublishDay
    from pismo_lake.ledger import Ledger
    from pismo_lake.report.model import DayReport
    from pismo_lake.rows.origins import ColumnOrigin
    from pismo_lake.settings.deliveries import Delivery

_LOG = logging.getLogger(__name__)
_PROVIDER = "airflow.providers.openlineage"
MOST_COLUMNS = 2_000
"""The most columns, of all tables together, that the build of an hour describes; a close describes all."""


@dataclass(frozen=True, slots=True)
class Written:
    """A dataset that was written, by its URI; columns only if they are described."""

    uri: str
    rows: int | None = None
    size: int | None = None
    files: int | None = None
    columns: tuple[ColumnOrigin, ...] = ()
    origins: bool = False


@dataclass(frozen=True, slots=True)
class Lineage:
    """The inputs (namespace, name), outputs and units of a task, and checks of the data that it read."""

    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[Written, ...]
    checks: tuple[tuple[str, bool], ...] = ()
    delivery: str = ""
    units: tuple[str, ...] = ()


def is_wanted() -> bool:
    """Return whether the provider of OpenLineage is installed; import nothing of it."""
    try:
        return importlib.util.find_spec(_PROVIDER) is not None
    except ModuleNotFoundError:
        return False


def lineage_of_landing(delivery: Delivery, files: int, size: int) -> Lineage:
    """Return the lineage from Pismo's folder to the raw files."""
    return Lineage((_source(delivery),), (Written(_landing(delivery), size=size, files=files),))


def lineage_of_build(delivery: Delivery, ledger: Ledger, units: Sequence[str]) -> Lineage | None:
    """Return the lineage from raw files to the tables that this run has written, in some units."""
    return _lineage(delivery, ledger, units, lambda: changes_of_run(delivery.settings, ledger, str(ledger.run), units))


def join_lineage(landing: Lineage | None, build: Lineage | None) -> Lineage | None:
    """Return the lineage of a task that lands files and builds their units."""
    if landing is None or build is None:
        return landing or build
    return replace(build, inputs=landing.inputs, outputs=(*landing.outputs, *build.outputs))


def lineage_of_close(delivery: Delivery, ledger: Ledger, day: PublishDay) -> Lineage | None:
    """Return the lineage from raw files to the tables of a closed day, with the origin of each column."""
    return _lineage(delivery, ledger, [str(day)], lambda: changes_of_day(delivery.settings, ledger, day), closed=True)


def _lineage(
    delivery: Delivery, ledger: Ledger, units: Sequence[str], read: Callable[[], Changes], *, closed: bool = False
) -> Lineage | None:
    """Return the lineage of changes; a failure is logged, because it must not fail the work that it is about."""
    try:
        written = tuple(_tables(delivery, ledger, read(), closed=closed))
        return Lineage((place_of(_landing(delivery)),), written, delivery=delivery.name, units=tuple(units))
    except Exception as error:  # noqa: BLE001 - see above
        _LOG.warning("no lineage: %s", type(error).__name__)
        return None


def lineage_of_report(delivery: Delivery, report: DayReport, place: str) -> Lineage:
    """Return the lineage of a day report: it reads the lake, and checks its control totals."""
    checks = [(total.what, total.difference == 0) for total in report.totals]
    checks.append(("complete", report.complete))
    lake, day = place_of(f"{delivery.lake}/events"), report.publish_date
    return Lineage((lake,), (Written(place),), tuple(checks), delivery=delivery.name, units=(day,))


def place_of(uri: str) -> tuple[str, str]:
    """Return the namespace and the name of a place, as OpenLineage writes them.

    >>> place_of("s3://bucket/lake/events"), place_of("/data/lake")
    (('s3://bucket', 'lake/events'), ('file', '/data/lake'))
    """
    parts = urlsplit(uri)
    if not parts.netloc:
        return "file", parts.path or uri
    return f"{parts.scheme}://{parts.netloc}", parts.path.strip("/") or "/"


def operator_lineage(lineage: Lineage | None) -> Any:
    """Return the lineage in the classes of the provider; None if there is none."""
    if lineage is None:
        return None
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.generated.base import InputDataset, OutputDataset
    from openlineage.client.generated.data_quality_assertions_dataset import (
        Assertion,
        DataQualityAssertionsDatasetFacet,
    )
    from openlineage.client.generated.output_statistics_output_dataset import OutputStatisticsOutputDatasetFacet

    from pismo.signals.facet import units_facet

    checks = [Assertion(assertion=what, success=holds) for what, holds in lineage.checks]
    about = {"dataQualityAssertions": DataQualityAssertionsDatasetFacet(assertions=checks)} if checks else {}
    inputs = [InputDataset(namespace, name, inputFacets=dict(about)) for namespace, name in lineage.inputs]
    outputs = []
    for written in lineage.outputs:
        counts = OutputStatisticsOutputDatasetFacet(rowCount=written.rows, size=written.size, fileCount=written.files)
        has_counts = not written.rows is written.size is written.files is None
        outputs.append(
            OutputDataset(
                *place_of(written.uri),
                facets=_facets(written, lineage.inputs[0]),
                outputFacets={"outputStatistics": counts} if has_counts else {},
            )
        )
    return OperatorLineage(
        inputs=inputs, outputs=outputs, run_facets=dict(units_facet(lineage.delivery, lineage.units))
    )


def _facets(written: Written, source: tuple[str, str]) -> dict[str, Any]:
    """Return the facets of a table's columns."""
    from openlineage.client.generated.column_lineage_dataset import ColumnLineageDatasetFacet, Fields, InputField
    from openlineage.client.generated.schema_dataset import SchemaDatasetFacet, SchemaDatasetFacetFields

    if not written.columns:
        return {}
    fields = [SchemaDatasetFacetFields(name=column.name, type=column.type) for column in written.columns]
    facets: dict[str, Any] = {"schema": SchemaDatasetFacet(fields=fields)}
    if written.origins:
        facets["columnLineage"] = ColumnLineageDatasetFacet(
            fields={
                column.name: Fields(
                    inputFields=[InputField(*source, field=column.path)],
                    transformationType="MASKED" if column.privacy else "IDENTITY",
                    transformationDescription=column.privacy,
                )
                for column in written.columns
                if column.path is not None
            }
        )
    return facets


def _tables(delivery: Delivery, ledger: Ledger, changes: Changes, *, closed: bool) -> Iterable[Written]:
    """Yield each table that was written, with its rows."""
    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.paths import type_folder
    from pismo_lake.rows.origins import column_origins

    contracts = ContractStore(ledger, delivery.settings)
    left = MOST_COLUMNS
    for table, rows in sorted(changes.tables.items()):
        domain, event_type = table.split("/", 1)
        columns = column_origins(contracts, domain, event_type) if closed or left > 0 else ()
        left -= len(columns)
        yield Written(f"{delivery.lake}/{type_folder(domain, event_type)}", rows, columns=columns, origins=closed)


def _landing(delivery: Delivery) -> str:
    return f"{delivery.landing}/{delivery.name}/main_stream"


def _source(delivery: Delivery) -> tuple[str, str]:
    """Return the place of the event files at Pismo."""
    source: Any = delivery.source
    match delivery.channel:
        case Channel.S3:
            return f"s3://{source.bucket or bucket_name(delivery.organisation)}", source.prefix
        case Channel.GCS:
            return f"gs://{source.bucket}", source.prefix
        case Channel.SFTP:
            host = source.host or SFTP_ENDPOINTS[delivery.environment]
            return f"sftp://{host}:{source.port or 22}", f"{source.root}/{source.prefix}".strip("/")
