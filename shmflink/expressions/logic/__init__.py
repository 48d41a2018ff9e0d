"""Truth: comparisons, three-valued logic, choices."""
