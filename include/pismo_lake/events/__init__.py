"""One event by its id: where it is, what it says, erase it."""
