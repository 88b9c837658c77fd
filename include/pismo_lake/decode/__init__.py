"""Find the events of a file and their envelopes in its bytes."""
