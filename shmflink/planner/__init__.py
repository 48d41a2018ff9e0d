"""Logical plan -> stream graph, in rules, each a module with tests of its own.

::

    rules                   one for each kind of call: type check; local and global halves; native or per record
    carrying                which key-value metadata of files and columns the rows have
    lowering                the operators of all rules, put together
    changelog               who gets updates, who gets final rows
    pushdown                filters and the choice of columns move into the sources
    stream_graph_builder    parallelism, slot sharing, partitioners; batch or streaming

`recording` asks a call's rule when the method is called; `checks` looks at a whole plan when it is submitted.

Imports everything from `graph` down. Must not know of processes, nor of the API that recorded the plan.
"""
