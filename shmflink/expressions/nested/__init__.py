"""Arrays, maps and rows inside columns."""
