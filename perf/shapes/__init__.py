"""`python -m perf --shapes`: seven queries over files of many shapes, beside DuckDB and Polars, rows compared.

`rows.py` makes the columns of a shape, `files.py` its files, `measuring.py` runs the engines in turns, `heat.py` makes
the tables, `command.py` is the command.
"""
