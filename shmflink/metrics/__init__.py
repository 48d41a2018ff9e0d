"""Counters of the data loop and where they are read. The loop only counts; others read and draw.

Imports `core` and `errors`. Must not know of tasks, processes or RPC.
"""
