"""One folder for each format of files: what reads it, and what writes it."""
