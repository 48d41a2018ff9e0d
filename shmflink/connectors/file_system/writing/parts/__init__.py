"""Part files: written, staged, and published completely or not at all.

`part_writers` writes them, `part_file` and `spooled_part` represent open ones, `staging` hides complete ones until
their checkpoint is complete, `publish` makes them visible.
"""
