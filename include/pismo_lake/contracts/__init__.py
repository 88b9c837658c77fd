"""Which columns an event type has, and how that was learned."""
