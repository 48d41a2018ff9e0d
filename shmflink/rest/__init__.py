"""Flink's REST API (2.3) over a session cluster, in a process of its own: its paths, verbs, status codes, field names.

The process asks the JobManager over its control socket, as the command line does, and only so often, however many
requests come (`snapshots`). It holds nothing that a job needs: killed, it harms nothing.

::

    HTTP ──▶ security ──▶ endpoints ──▶ handlers ──▶ views (pure: messages of the JobManager → Flink's JSON)
                                           │
                                           ├──▶ snapshots   reads, cached           ┐ control socket
                                           └──▶ operations  savepoint, stop, cancel ┘ of the JobManager

Needs the extra `shmflink[rest]` (Starlette, uvicorn); nothing else imports this package but `cli`, when it starts it.
Imports `rpc`, `checkpoint`, `config` and below. Must not know of processes other than through `rpc` and `/proc`.
"""
