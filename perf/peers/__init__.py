"""What the cases are for other engines: one module an engine, one function a case.

A function takes the folder of input files and the folder to write into, and runs the query the way that the engine's
own users would for speed, on two threads. `run.py` calls it in a fresh process and measures it. The modules import
nothing of shmflink and only their engine; `flink_cases` runs in an environment of its own.
"""
