"""Files in and out, with the names of `pyflink.datastream.connectors.file_system`.

`reading/` and `writing/` contain the common part of all formats; `formats/` has a folder per format, built on both.
Only `reading/source.py` and `writing/sink.py` name formats. All access to files goes through `file_systems`; `globs`
defines patterns and hidden names.
"""
