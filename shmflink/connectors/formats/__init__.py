"""Rows to bytes or text and back, for connectors that carry messages. (Formats of files: `file_system/formats`.)"""
