"""Operators that call a user's function for each record, and what the function is told and may emit."""
