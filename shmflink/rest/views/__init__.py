"""Messages of the JobManager as Flink's JSON: pure functions, one module for each family of paths. No I/O, no clock."""
