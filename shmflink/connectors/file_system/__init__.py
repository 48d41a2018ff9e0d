"""Files in and out: text lines and Parquet, with the names of `pyflink.datastream.connectors.file_system`.

`source` and `sink` are the two ends; `splits` finds and cuts input files, `text` and `parquet` read and write
their formats, `buckets` and `rolling` say where and when output files begin, `part_file` makes them appear
whole or not at all.
"""
