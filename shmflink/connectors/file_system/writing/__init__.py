"""Writing files: the sink, its writers, when a file is full, and which folder it goes to.

`sink` is what users see, `sink_writer` its part in a subtask. `parts/` writes part files and publishes them. `buckets`
(with `partition_columns` and `time_pattern`) and `rolling` decide where and when files begin; `encoders` is the
contract of the kinds of files.
"""
