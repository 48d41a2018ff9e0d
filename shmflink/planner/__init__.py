"""Logical plan -> stream graph, in rules, each a module that is tested alone.

::

    changelog               who gets updates, who gets final rows
    pushdown                filters and the choice of columns move into the sources
    stream_graph_builder    parallelism, slot sharing, partitioners; batch or streaming

Imports everything from `graph` down. Must not know of processes, nor of the API that recorded the plan.
"""
