"""Find the date partition of each event."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def event_dates(stamps: pa.TimestampArray, zone: str, publish_date: str) -> pa.DictionaryArray:
    """Return each event's own date (YYYY-MM-DD) in `zone`; the publish date if it has no time."""
    days = pc.local_timestamp(stamps.cast(pa.timestamp("us", tz=zone))).cast(pa.date32(), safe=False)
    coded = days.dictionary_encode(null_encoding="encode")
    names = pc.fill_null(coded.dictionary.cast(pa.string()), publish_date)
    plain = names.dictionary_encode()
    # an event without a time may share its date with others
    return pa.DictionaryArray.from_arrays(plain.indices.take(coded.indices), plain.dictionary)
