"""Logical plan -> PyFlink 2.3: what of a job a Flink cluster can run, call by call.

`counterparts` knows what PyFlink has for each kind of call; `portable` tells people about a whole plan.

Imports everything from `plan` down. Must not know of stream graphs: the planner is the other reader of plans.
"""
