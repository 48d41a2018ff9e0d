"""PostgreSQL: a sink that commits in two phases.

Imports what `connectors` may, and psycopg (`pip install 'shmflink[postgres]'`) where a connection is made. Knows
nothing of tasks and checkpoints beyond `connectors.base`.
"""
