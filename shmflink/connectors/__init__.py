"""Sources, sinks and formats, on pyarrow and the systems' own clients: one file per kind.

Imports `core`, `config`, `metrics`, `expressions` and `operators.base`. Must not know of graphs, tasks or processes.
"""
