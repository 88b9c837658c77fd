"""Make the rows of one part: a table for each partition, and the rejects, without writing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake.contracts.lists import child_columns, list_name
from pismo_lake.decode.fields import LAKE_COLUMNS
from pismo_lake.decode.timestamps import typed_values
from pismo_lake.errors import LakeError
from pismo_lake.paths import event_path, items_path, partition_path, rejects_path
from pismo_lake.privacy.columns import protect
from pismo_lake.rows.child_tables import child_tables
from pismo_lake.rows.dates import event_dates
from pismo_lake.rows.flatten import EventBytes, flatten
from pismo_lake.rows.schema import REJECTS_SCHEMA, lake_schema, typed_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pismo_lake.build.read import Group, PartRows
    from pismo_lake.contracts.contract import Contract
    from pismo_lake.settings.lake import LakeSettings
    from pismo_lake.settings.privacy import Privacy


def tables(
    part: PartRows, settings: LakeSettings, publish_date: str, contract_of: Callable[[str, str], Contract]
) -> Iterator[tuple[str, pa.Table]]:
    """Yield (folder, table) for every partition of the part, in a stable order.

    These include child tables and rejects. The groups are emptied.
    """
    for domain, name in sorted(part.groups):
        group, contract = part.groups.pop((domain, name)), contract_of(domain, name)
        payload = _payload(group, contract, settings.privacy, event_path(domain, name))
        table = _group_table(group, payload, contract, settings.privacy, event_path(domain, name))
        dates = event_dates(table.column("event_timestamp").combine_chunks(), settings.event_date_zone, publish_date)
        names = dates.dictionary.to_pylist()
        for date in sorted(names):
            # most parts have one date; then the comparison of all rows is not needed
            here = None if len(names) == 1 else pc.equal(dates.indices, names.index(date))
            mine, lists = (each if here is None else each.filter(here) for each in (table, payload))
            yield partition_path(domain, name, date), readable(mine, event_path(domain, name))
            for folder, child in child_tables(mine, lists, contract, settings.privacy, (domain, name), date):
                yield folder, readable(child, event_path(domain, name))
    if part.rejects:
        rows = pa.Table.from_pylist(part.rejects, schema=REJECTS_SCHEMA)
        if settings.privacy is not None:
            # unreadable bytes cannot be redacted: source, offset and length lead to them in landing
            rows = rows.set_column(REJECTS_SCHEMA.names.index("raw"), "raw", pa.nulls(len(rows), pa.binary()))
        yield rejects_path(publish_date), rows


def partitions_of(
    group: Group, names: tuple[str, str], settings: LakeSettings, publish_date: str, contract: Contract
) -> Iterator[tuple[str, list[str]]]:
    """Yield the folder of each partition of a group, with the folders of its child tables, in the order of `tables`.

    A child table may be empty.
    """
    stamps = group.column("event_timestamp").combine_chunks()
    lists = [list_name(child) for child in child_columns(contract)]
    for date in sorted(event_dates(stamps, settings.event_date_zone, publish_date).dictionary.to_pylist()):
        yield partition_path(*names, date), [items_path(*names, name, date) for name in lists]


def count_rescued(folder: str, table: pa.Table) -> int:
    """Return the number of rows of events with a value in `_rescued`."""
    return table.num_rows - table.column("_rescued").null_count if folder.startswith("events/") else 0


def readable(table: pa.Table, event: str) -> pa.Table:
    """Return a table unchanged if readers can read it.

    Raises:
        LakeError: a text is not UTF-8; readers would refuse the whole file.
    """
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        msg = (
            f"rows of {event} cannot be written: a text is not UTF-8, so the bytes have changed since they were indexed"
        )
        raise LakeError(msg) from error
    return table


def folders(
    part: PartRows, settings: LakeSettings, publish_date: str, contract_of: Callable[[str, str], Contract]
) -> list[str]:
    """Return the folders that `tables` may yield, before flattening; a child table may be empty."""
    found: list[str] = []
    for names in sorted(part.groups):
        for event, lists in partitions_of(part.groups[names], names, settings, publish_date, contract_of(*names)):
            found += [event, *lists]
    return [*found, rejects_path(publish_date)] if part.rejects else found


def _payload(group: Group, contract: Contract, privacy: Privacy | None, event: str) -> pa.Table:
    """Return a contract's columns and `_rescued` under a policy, with lists for child tables."""
    cuts = group.column("payload_at").fill_null(0).to_numpy().astype(np.int64)
    payload = flatten(EventBytes(group.raw, group.column("regular").to_numpy(), cuts, group.parsed), contract)
    if payload.num_rows != len(group.raw):
        msg = f"{len(group.raw)} events gave {payload.num_rows} rows"
        raise LakeError(msg)
    return payload if privacy is None else protect(payload, contract, privacy, event)


def _group_table(group: Group, payload: pa.Table, contract: Contract, privacy: Privacy | None, event: str) -> pa.Table:
    envelope = [group.column(key).combine_chunks() for key in LAKE_COLUMNS]
    deliveries, names = (
        pa.concat_arrays([pa.repeat(file[at], file[2]) for file in group.files]) for at in (0, 1)
    )  # fmt: skip
    source = [deliveries, names, group.column("offset").combine_chunks()]
    # from the redacted values: a date that was reduced to its year has no typed value
    typed = [
        typed_values(payload.column(column.name).combine_chunks(), field.type)
        for field, column in typed_columns(contract)
    ]
    children = [column.name for column in child_columns(contract)]
    counts = [pc.list_value_length(payload.column(name).combine_chunks()) for name in children]
    rescued = payload.column("_rescued")
    payload = payload.drop_columns(["_rescued", *children])
    return pa.table(
        [*envelope, *payload.columns, *typed, *counts, *source, rescued], schema=lake_schema(contract, privacy, event)
    )
