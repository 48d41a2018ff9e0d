"""Files in and out, with the names of `pyflink.datastream.connectors.file_system`.

`reading/` and `writing/` hold what formats have in common, `formats/` a folder for each, built on both; only
`reading/source.py` and `writing/sink.py` name formats. `file_systems` is the only
door to files, `globs` the rule of patterns and hidden names.
"""
