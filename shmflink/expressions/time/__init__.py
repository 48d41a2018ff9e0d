"""Dates, times, timestamps and intervals: parts, arithmetic, parsing and formatting, zones, the current time."""
