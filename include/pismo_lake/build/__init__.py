"""Write the Parquet of an hour or a day, once."""
