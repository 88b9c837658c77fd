"""From a file's bytes to its events and their envelopes."""
