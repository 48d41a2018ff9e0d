"""Reads and writes files, with the names of `pyflink.datastream.connectors.file_system`.

`reading/` and `writing/` contain what all formats share, `formats/` has a folder per format, built on both; only
`reading/source.py` and `writing/sink.py` name formats. `file_systems` is the only access to files, `globs` defines
patterns and hidden names.
"""
