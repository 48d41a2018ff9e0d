"""Types: as users declare them, as the Table API does, and the shapes that rows have in columns."""
