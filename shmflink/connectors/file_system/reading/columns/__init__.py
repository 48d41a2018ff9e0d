"""The columns of input files: merged, declared, taken from folder names or from the files themselves."""
