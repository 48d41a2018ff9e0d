"""Logical plan -> PyFlink 2.3: what of a job a Flink cluster can run, call by call.

::

    counterparts, ends      PyFlink's method for each call, source and sink, or why there is none
    portable                the same for people: `shmflink info --portable`
    emit, ends_text         a PyFlink program, a statement for each call: `shmflink info --emit`
    construction            types, descriptors, windows, triggers, as PyFlink makes them
    shipping                functions as text, with shmflink's names for PyFlink's

Imports everything from `plan` down. Must not know of stream graphs: the planner is the other reader of plans.
"""
