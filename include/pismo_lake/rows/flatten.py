"""Flatten the events of one part into one Arrow table for each event type.

They take the fast path if possible, else the slow one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pismo_lake.contracts.columns import RESCUED, FastReader, payload_schema
from pismo_lake.decode.envelope import extra_keys, parse_exact, text_of_version, text_or_none
from pismo_lake.decode.fields import PAYLOAD_KEY, TEXT_KEYS, VERSION_KEY
from pismo_lake.decode.heads import tails
from pismo_lake.decode.timestamps import timestamp_us
from pismo_lake.errors import LakeError
from pismo_lake.rows.conform import Conformed, fit_object
from pismo_lake.settings.contracts import Mode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from pismo_lake.contracts.contract import Contract

_STEP = 16
_SMALL = 32


@dataclass(frozen=True, slots=True)
class EventBytes:
    """Raw bytes of one type's events in output order; `regular` ones may take the fast path.

    `cuts`, if given, has the place of the payload's key in events whose head is a closed envelope, 0 for others.
    `parsed` has the positions and payloads of events that were parsed before and that `FastReader.columns_of` accepts:
    their bytes are not read.
    """

    raw: Sequence[bytes]
    regular: Sequence[bool] | NDArray[np.bool_]
    cuts: NDArray[np.int64] | None = None
    parsed: Sequence[tuple[NDArray[np.int64], pa.Table]] = ()


def flatten(events: EventBytes, contract: Contract) -> pa.Table:
    """Return the payload columns and `_rescued` of the events, one row each, in their order.

    Every value of every payload is in its column or in `_rescued`; a null value is null in its column.
    """
    schema = payload_schema(contract).append(RESCUED)
    reader = FastReader(contract)
    fast = np.array(events.regular, dtype=bool) & reader.usable
    cuts = np.zeros(len(events.raw), dtype=np.int64) if events.cuts is None else events.cuts
    tables = list(_columns_of(events.parsed, reader))
    places = [here for here, _ in events.parsed]
    left = np.ones(len(fast), dtype=bool)
    for here in places:
        left[here] = False
    exact = np.flatnonzero(left & ~fast).tolist()
    for headless in (False, True):
        mine = np.flatnonzero(left & fast & ((cuts > 0) == headless))
        _read_fast(events, cuts if headless else None, mine, reader, tables, places, exact)
    if exact:
        exact.sort()
        tables.append(_read_exact([events.raw[place] for place in exact], contract, schema))
        places.append(np.array(exact))
    # in one piece, so that files do not depend on the path of their rows
    table = (pa.concat_tables(tables) if tables else schema.empty_table()).combine_chunks()
    order = np.concatenate([np.zeros(0, np.int64), *places])
    if (np.diff(order) > 0).all():
        return table
    return table.take(pa.array(np.argsort(order, kind="stable")))


def _columns_of(parsed: Sequence[tuple[NDArray[np.int64], pa.Table]], reader: FastReader) -> Iterator[pa.Table]:
    """Yield the columns of parsed payloads; neighbouring files mostly have the same schema."""
    for _, alike in groupby((payload for _, payload in parsed), key=lambda payload: payload.schema):
        columns = reader.columns_of(pa.concat_tables(alike))
        if columns is None:
            msg = "the kept payloads do not match the contract"
            raise LakeError(msg)
        yield columns


def _read_fast(
    events: EventBytes,
    cuts: NDArray[np.int64] | None,
    places: NDArray[np.int64],
    reader: FastReader,
    tables: list[pa.Table],
    done: list[NDArray[np.int64]],
    exact: list[int],
) -> None:
    """Read events with pyarrow; if it refuses them, split them until only a few are refused."""
    if not len(places):
        return
    raw = [events.raw[place] for place in places.tolist()]
    text = b"\n".join(raw) if cuts is None else tails(raw, cuts[places].tolist())
    table = reader.read(text, len(places), headless=cuts is not None)
    if table is not None:
        tables.append(table)
        done.append(places)
    elif len(places) <= _SMALL:
        exact.extend(places)
    else:
        step = -(-len(places) // _STEP)
        for start in range(0, len(places), step):
            _read_fast(events, cuts, places[start : start + step], reader, tables, done, exact)


def _read_exact(raws: list[bytes], contract: Contract, schema: pa.Schema) -> pa.Table:
    rows = [conform_event(parse_exact(raw), contract) for raw in raws]
    columns = [
        pa.array([row.columns.get(name) for row in rows], schema.field(name).type)
        for name in schema.names
        if name != RESCUED.name
    ]
    return pa.table([*columns, pa.array([row.rescued_text for row in rows], pa.string())], schema=schema)


def conform_event(event: dict[str, Any], contract: Contract) -> Conformed:
    """Return one parsed event as columns and rescued values."""
    out = Conformed(discard=contract.mode is Mode.DISCARD)
    for key in TEXT_KEYS:
        _check_text(event, key, out)
    if text_of_version(event.get(VERSION_KEY)) is None:
        _check_text(event, VERSION_KEY, out)
    stamp = text_or_none(event.get("timestamp"))
    if stamp is not None and timestamp_us(stamp) is None:
        out.rescue("/timestamp", "not_a_time", stamp)
    out.rescue_keys(event, "")
    fit_object(contract.data, event.get(PAYLOAD_KEY), f"/{PAYLOAD_KEY}", PAYLOAD_KEY, out)
    extras = extra_keys(event)
    if extras:
        fit_object(contract.envelope, extras, "", "envelope", out)
    return out


def _check_text(event: dict[str, Any], key: str, out: Conformed) -> None:
    value = event.get(key)
    if value is None or (type(value) is str and value.isascii()):
        return
    if not isinstance(value, str):
        out.rescue(f"/{key}", "not_text", value)
    elif text_or_none(value) is None:
        out.rescue(f"/{key}", "lone_surrogate", value)
