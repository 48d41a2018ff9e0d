"""Part files: written, staged, and published whole or not at all.

`part_writers` writes them, `part_file` and `spooled_part` hold them until they are full, `staging` keeps whole ones
hidden until their checkpoint is complete, `publish` makes them visible.
"""
