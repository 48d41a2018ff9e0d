"""The columns of files that are read: merged, declared, told by folders or by the files themselves."""
