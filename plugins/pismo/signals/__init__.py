"""Tell other systems about a run: alerts, metrics, assets and lineage."""
