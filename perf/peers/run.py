"""`python -m perf.peers.run ENGINE CASE INPUT OUTPUT RESULT [warm]`: one case of one engine, in this process, measured.

Writes one JSON object to the file RESULT: `seconds` and `query_cpu_s` of the query, `startup_s` of what comes before it
(importing the engine, starting a virtual machine). With `warm` it runs twice and `warm_s` is the second time.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

Query = Callable[[str, str], float | None]
SHAPE_MARK = "@"
"""Between a query's name and a shape's."""


def run(engine: str, case: str, inputs: str, output: str, is_warm: bool) -> dict[str, Any]:
    """Runs the case and says what it took."""
    started = time.perf_counter()
    kind = "shapes" if SHAPE_MARK in case else "cases"
    module = importlib.import_module(f"perf.peers.{engine}_{kind}")
    if hasattr(module, "prepare"):
        module.prepare()
    ready = time.perf_counter()
    query = _query(module, case)
    cpu_s = time.process_time()
    seconds = _timed(query, inputs, output)
    cpu_s = time.process_time() - cpu_s
    startup_s = ready - started + max(0.0, time.perf_counter() - ready - seconds)
    measured: dict[str, Any] = {"version": module.version(), "startup_s": startup_s, "seconds": seconds}
    if not hasattr(module, "prepare"):  # it runs in this process
        measured["query_cpu_s"] = cpu_s
    if is_warm:
        measured["warm_s"] = _timed(query, inputs, f"{output}-warm")
    return measured


def _query(module: ModuleType, case: str) -> Query:
    name, mark, shape = case.partition(SHAPE_MARK)
    query: Query = partial(module.run, name, shape) if mark else module.CASES[name]
    return query


def _timed(query: Query, inputs: str, output: str) -> float:
    """The query's seconds: what it says itself, else what it took."""
    os.makedirs(os.path.dirname(output), exist_ok=True)
    started = time.perf_counter()
    seconds = query(inputs, output)
    return time.perf_counter() - started if seconds is None else seconds


if __name__ == "__main__":
    result = run(*sys.argv[1:5], is_warm="warm" in sys.argv[6:])
    with open(sys.argv[5], "w", encoding="utf-8") as file:
        json.dump(result, file)
