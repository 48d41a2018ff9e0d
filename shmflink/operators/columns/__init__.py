"""Operators on columns: expressions, functions of record batches, conversions."""
