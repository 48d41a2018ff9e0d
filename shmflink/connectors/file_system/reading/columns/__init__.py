"""The columns of files: merged, declared, or derived from folders or the files themselves."""
