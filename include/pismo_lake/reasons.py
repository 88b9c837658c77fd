"""Define the reasons in `rejects` and `_rescued`, each with its meaning."""

from __future__ import annotations

REJECT_REASONS = {
    "conflicting_duplicate": "a copy of an event with other content than the copy that wins",
    "gzip_damaged": "the rest of a gzip file cannot be decompressed",
    "invalid_json": "the bytes are not JSON",
    "invalid_utf8": "the bytes are JSON in form, but not UTF-8 text",
    "missing_domain": "`domain` is missing, empty or not text",
    "missing_event_id": "`event_id` is missing, empty or not text",
    "missing_event_type": "`event_type` is missing, empty or not text",
    "non_finite_number": "the event holds NaN or an infinite number, which JSON does not have",
    "not_an_object": "the bytes are JSON, but not an object",
    "too_deep": "the JSON is nested too deeply to be read",
    "too_large": "the event has more bytes or more values than an event may have",
    "truncated": "the file ends in the middle of an event",
    "unsupported_framing": "the whole file has an unreadable form (zstd, zip, …); the raw file is kept in landing",
}
"""Reasons of `rejects`: why a byte range of an event file is not a row."""

RESCUE_REASONS = {
    "card_number": "the column holds numbers, and the value is a card number; its last four digits are kept here",
    "duplicate_key": "the object has the key more than once; the last value is in the column",
    "empty_object": "an empty object `{}` has no columns",
    "lone_surrogate": "the text holds half of a surrogate pair, so it cannot be written as UTF-8",
    "no_column": "the contract has no column for the field: it is frozen, or has its largest number of columns",
    "not_an_object": "the contract has an object here, and the value is not one",
    "not_a_time": "the timestamp of the envelope is not a time with a zone",
    "not_bool": "the column holds booleans, and the value is not one",
    "not_decimal": "the column holds decimals, and the value is not a number",
    "not_int": "the column holds integers, and the value is not one",
    "not_list": "the column holds lists, and the value is not one",
    "not_object": "the list holds objects, and the item is not one",
    "not_string": "the column holds strings, and the value is not one",
    "not_text": "the envelope field should be text, and the value is not",
    "out_of_range": "the number is beyond int64, or has more than 20 digits before or 18 after the point",
    "untyped": "no value has shown the kind of this path yet",
}
"""Reasons of `_rescued`: why a value of an event is not in a column."""
