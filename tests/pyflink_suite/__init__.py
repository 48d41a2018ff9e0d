"""Runs PyFlink's own tests on shmflink: `python -m tests.pyflink_suite --from FOLDER`.

Their text is not in this repository. FOLDER has PyFlink's test files (`flink-python/pyflink` of Flink's sources, or
single files); they are copied into a temporary folder with the word `pyflink` replaced by `shmflink`. What they take
from the JVM - the base classes of tests, the sink that collects, the gateway - comes from `shims`. A test that needs
more of the JVM, the Table API, Kafka or async I/O counts as excluded, with that reason.
"""
