"""Aggregates: what an expression over a group is made of. Computed by `operators/aggregates/`."""
