"""Random tables in files of several writers, through real operators, compared with DuckDB."""
