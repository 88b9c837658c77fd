"""Apply a policy to values, columns, a whole lake."""
