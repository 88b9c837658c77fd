"""Write the same event files to Parquet partitions by other libraries: INPUT OUT CORES.

.venv-peers runs them. Every writer gives ``OUT/domain=<d>/event_type=<name with
version>/event_date=<date>/*.parquet``, zstd, nested objects as columns ``data__a__b``, lists as lists, with `event_id`
and `org_id` beside. They use the library as a careful user would; the checker reports what they cannot read or get
wrong.
"""
