"""The logical plan: what a program asked for, as immutable nodes; each with its schemas and the user's line.

Imports `core`, `expressions`, `state`, `operators` (window assigners and triggers) and `connectors.base`. Must not know
how a node runs, because the planner decides that.
"""
