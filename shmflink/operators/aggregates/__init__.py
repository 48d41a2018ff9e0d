"""Aggregates of columns: the local and the global step, and what a checkpoint holds of them."""
