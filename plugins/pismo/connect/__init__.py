"""Open what a delivery names: its source, its queue, its ledger."""
