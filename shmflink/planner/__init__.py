"""Logical plan -> stream graph, by rules, each a separately tested module.

::

    rules                   one for each kind of call: type check; local and global halves; native or per record
    carrying                which key-value metadata of files and columns the rows have
    lowering                the operators of all rules, combined
    changelog               which consumers get updates, and which get final rows
    pushdown                filters and column selection move into the sources
    stream_graph_builder    parallelism, slot sharing, partitioners; batch or streaming

`recording` applies a call's rule when the method is called; `checks` checks a whole plan when it is submitted.

Imports everything from `graph` down. Must not know of processes or of the API that recorded the plan.
"""
