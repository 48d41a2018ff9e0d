"""What a task does to a batch: one file per kind of operator, in a folder for what it works on.

Imports `core`, `config`, `metrics`, `state` and `network`'s contract. Must not know of processes, RPC, graphs or
connectors.
"""
