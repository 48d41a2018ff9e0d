"""Types: their names, the common type of several, casts from one to another."""
