"""Event time and processing time inside an operator: timers, timestamps, watermarks."""
