"""Files in: which files, cut into which splits, read by whom; what all input formats have in common.

`source` is the end that users hold, `scan` what it reads and how the work is shared out, `scan_building` how that is
settled where the program runs. `listing` finds files, `discovery` goes on finding them, `splits` cuts them.
`input_format` is the contract of the kinds of files, `files_cursor` does what they have in common, with `columns/`.
"""
