"""The job machine: the life of one job, from its submission to its end, as a pure state machine.

::

    submitted ─▶ storage open, slots ─▶ attempts of its regions ─ a failure ─▶ RESTARTING ─▶ attempts ─▶ ... ─▶ over

`JobMachine` takes events and returns effects. Its owner performs the effects and reports what came of them as events:
the JobManager's process, `MiniCluster`, the simulation. The machine is composed of smaller ones, each with a state of
its own, which put their effects into one `Outlet`: `job.py` draws how they are connected.

The package may import `rpc` (the names of states and failures), `graph` and `checkpoint`. It knows nothing of event
loops, processes, sockets, files, clocks or randomness: time and random numbers are arguments. A tidy test proves it.
"""
