"""Parse many JSON events of known fields at once with pyarrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.json as pj

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def read_events(
    text: bytes | NDArray[np.uint8], count: int, schema: pa.Schema, unexpected: str = "error"
) -> pa.Table | None:
    """Parse `count` events of these fields; None if pyarrow refuses one or finds another number.

    `unexpected` says how to treat other fields: "error" or "ignore".
    """
    parsing = pj.ParseOptions(explicit_schema=schema, newlines_in_values=True, unexpected_field_behavior=unexpected)
    reading = pj.ReadOptions(use_threads=False, block_size=len(text) + 1)
    try:
        # one block, so one batch; `read_json` gives the same, but starts a thread for each call
        table = pj.open_json(pa.BufferReader(text), read_options=reading, parse_options=parsing).read_all()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
        return None
    return table if table.num_rows == count else None
