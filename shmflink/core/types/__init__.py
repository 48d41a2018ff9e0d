"""Types: declared by users, declared by the Table API, and the shapes that rows have in columns."""
