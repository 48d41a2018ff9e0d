"""Windows: what they are, how elements are assigned to them, when they fire, and the operator that stores them.

Imports what `operators` may. The names are PyFlink's (`pyflink.datastream.window`).
"""
