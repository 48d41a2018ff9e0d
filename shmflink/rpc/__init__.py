"""Control messages (one frozen type each) and their wire. JobManager, TaskManagers and clients meet only here.

Imports `core`, `graph`'s data types, `config`, `errors`. Must not know who sends or receives.
"""
