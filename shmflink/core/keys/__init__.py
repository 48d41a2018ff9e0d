"""Keys: as columns, as canonical bytes, and the key groups that they belong to."""
