"""Writes files: the sink, its writers, when a file is full and in which folder it goes.

Users hold a `sink`; `sink_writer` is its part in a subtask. `parts/` writes part files and publishes them. `buckets`
(with `partition_columns` and `time_pattern`) and `rolling` determine where and when files begin; `encoders` is the
contract of formats.
"""
