"""Dates, times, timestamps and intervals: parts, arithmetic, text, zones, the current time."""
