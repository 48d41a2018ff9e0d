"""The job machine: the life of one job, from its submission to its end, as a pure state machine.

::

    submitted ─▶ storage open, slots ─▶ attempts of its regions ─ a failure ─▶ RESTARTING ─▶ attempts ─▶ ... ─▶ over

`JobMachine` takes events and returns effects. Whoever owns it performs the effects and reports what came of them as
events: the JobManager's process, `MiniCluster`, the simulation. It is composed of smaller machines: `Attempt` (one
attempt of one failover region), `JobCheckpoints` (around `checkpoint.coordinator`), `RestorePoints`, `RestartStrategy`.

It may import `rpc` (the names of states and failures), `graph` and `checkpoint`. It must not know of event loops,
processes, sockets, files, clocks or randomness: time and random numbers are arguments. A tidy test proves it.
"""
