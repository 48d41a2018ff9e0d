"""Reading files: finding them, cutting them into splits, assigning the splits; the common part of all input formats.

`source` is what users see; `scan` describes what is read and how the work is distributed; `scan_building` makes the
scan in the user's process. `listing` finds files, `discovery` keeps finding new ones, `splits` cuts them.
`input_format` is the contract of formats; `files_cursor` and `columns/` are their common part.
"""
