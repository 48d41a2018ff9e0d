"""The vocabulary of all other packages: ids, elements, batches, types, key groups, clocks, limits, mailboxes.

Imports nothing of shmflink except `errors` and the native module. Must not know of operators, channels, processes
or graphs.
"""
