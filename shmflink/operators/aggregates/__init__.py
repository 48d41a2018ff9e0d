"""Aggregates over columns: the local and the global step, and their state in checkpoints."""
