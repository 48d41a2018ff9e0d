"""Moving elements between subtasks: the channel contract and its mechanisms (local, shared memory, later the bridge).

Imports `core`, `errors` and the native module. Must not know of operators, tasks, processes or graphs.
"""
