"""One folder per file format, with its reader and its writer."""
