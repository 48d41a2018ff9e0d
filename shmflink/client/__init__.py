"""Submits a job graph and follows it; starts an embedded cluster where asked to.

Imports everything below. Must not know of the user's API (`datastream`, `common`) or of the terminal.
"""
