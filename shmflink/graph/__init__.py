"""StreamGraph -> JobGraph -> ExecutionGraph: plain immutable data that can be printed, compared and drawn.

Imports `core`, `config`, `metrics`, `operators` and `connectors.base`. Must not know of processes, sockets or threads.
"""
