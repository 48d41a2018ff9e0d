"""Comparisons, three-valued logic, conditionals."""
