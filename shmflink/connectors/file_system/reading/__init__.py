"""Reads files: which files, how they are split, who reads which split; what all input formats share.

Users hold a `source`; `scan` says what it reads and how the work is divided, `scan_building` determines this in the
program's process. `listing` finds files, `discovery` continues to find them, `splits` divides them. `input_format` is
the contract of formats, `files_cursor` does what they share, with `columns/`.
"""
