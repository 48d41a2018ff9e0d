"""The words everything else is written in: ids, elements, batches, types, key groups, clocks, limits, mailboxes.

Imports nothing of shmflink but `errors` and the native module. Must not know of operators, channels, processes
or graphs.
"""
