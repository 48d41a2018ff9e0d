"""Operators that call a user's function for each record; the function's contexts and outputs."""
