"""Files out: the sink, its writers, when a file is full and in which folder it goes.

`sink` is the end that users hold, `sink_writer` its part in a subtask. `parts/` writes part files and publishes them.
`buckets` (with `partition_columns` and `time_pattern`) and `rolling` say where and when files begin; `encoders` is the
contract of the kinds of files.
"""
