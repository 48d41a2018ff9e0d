"""Strings: parts, search, patterns, encodings, digests, URLs."""
