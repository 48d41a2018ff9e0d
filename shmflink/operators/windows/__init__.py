"""Windows: what they are, which ones an element belongs to, when they fire, and the operator that keeps them.

Imports what `operators` may. The names are PyFlink's (`pyflink.datastream.window`).
"""
