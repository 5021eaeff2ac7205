"""A run on disk: journal, result, checkpoints, provenance."""
