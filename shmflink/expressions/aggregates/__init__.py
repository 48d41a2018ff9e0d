"""Aggregates, the parts of expressions over a group. `operators/aggregates/` computes them."""
