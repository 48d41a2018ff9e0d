"""Numbers: arithmetic, rounding, mathematics, decimals, random numbers."""
