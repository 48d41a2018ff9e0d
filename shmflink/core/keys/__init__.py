"""Keys: as columns, as canonical bytes, and their key groups."""
