"""Keyed state by key group, behind the state backend interface.

Imports `core` and the native module. Must not know of operators or tasks.
"""
