"""Files in and out, with the names of `pyflink.datastream.connectors.file_system`.

The way in: `source` is the end that users hold, `scan` what it reads and how the work is shared out, `scan_building`
how that is settled where the program runs. `file_systems` is the only door to files; `listing` finds them,
`discovery` goes on finding them, `splits` cuts them. `formats` is the contract of the kinds of files
(`parquet_format`, `arrow_ipc`, `orc`, `csv`, `json_lines`, `text`); `files_cursor` does what they have in common,
with `schemas`, `partitions` and `metadata_columns`.

The way out: `sink` is the end that users hold, `sink_writer` its part in a subtask: `part_writers` writes part files,
`staging` keeps whole ones hidden until their checkpoint is complete, `publish` makes them visible. `buckets` (with
`partition_columns` and `time_pattern`) and `rolling` say where and when files begin; `part_file` and `spooled_part`
hold them until then. `encoders` is the contract of the kinds of files (`parquet_output` with `parquet_encodings`,
`text_output`, `csv_bulk_writers`, `ipc_output`).
"""
