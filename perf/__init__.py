"""What shmflink takes: measured, with targets. `python -m perf`."""
