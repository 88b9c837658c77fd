"""The same event files to partitioned Parquet, each by another library: INPUT OUT CORES. Run by .venv-peers.

Every writer gives ``OUT/domain=<d>/event_type=<name with version>/event_date=<date>/*.parquet``, zstd, nested objects
as columns ``data__a__b``, lists as lists, with `event_id` and `org_id` beside. They do what a careful user would do
with the library; what they cannot read or get wrong is the checker's to say.
"""
