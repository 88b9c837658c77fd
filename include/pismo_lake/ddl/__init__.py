"""Tables and views for query engines."""
