"""Strings: parts, search, patterns, encodings, digests, addresses of the web."""
