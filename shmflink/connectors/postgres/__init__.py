"""PostgreSQL: a sink that commits in two phases.

Imports what `connectors` may, and psycopg (`pip install 'shmflink[postgres]'`) when it opens a connection. Knows
nothing of tasks and checkpoints beyond `connectors.base`.
"""
