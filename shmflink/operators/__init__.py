"""What a task does to a batch: one file per kind of operator, grouped in folders by what they work on.

Imports `core`, `config`, `metrics`, `state` and `network`'s contract. Must not know of processes, RPC, graphs or
connectors.
"""
