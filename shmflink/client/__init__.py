"""Submits a job graph and follows the job; starts an embedded cluster if there is none.

Imports everything below. Must not know of the user's API (`datastream`, `common`) or of the terminal.
"""
