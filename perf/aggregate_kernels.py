"""The table behind grouped aggregations by itself, and pyarrow's group_by, each on one core.

Key and 10 s bucket; count, sum, max. Prints nanoseconds a row; the results of both are compared.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa

from perf.runner import ROOT, WATCHDOG_SECONDS, Options, judged
from shmflink import _core

__all__ = ["CASES"]

BATCH_ROWS: Final = 1 << 16
SIZES: Final = {"1k": (1_000, 10_000_000), "100k": (100_000, 10_000_000), "5m": (5_000_000, 20_000_000)}
NS_MAX: Final = {"1k": 7.5, "100k": 12.0, "5m": 53.0}  # a C++ hash aggregate of such rows on one such core, idle
WORDS_NS_MAX: Final = 20.0
TEXTS_NS_MAX: Final = 80.0  # some four cache lines a row from memory: entry, row, and its key's bytes
TEXTS: Final = 100_000
CALLS: Final = [("n", "count", [], [], False), ("total", "sum", [0], [], False), ("most", "max", [0], [], False)]


def _group_kernel(options: Options) -> Iterator[dict[str, Any]]:
    limits = {**NS_MAX, "words": WORDS_NS_MAX, "texts": TEXTS_NS_MAX}
    for name, limit in limits.items():
        measured = _in_its_own_process(name, "smoke" if options.smoke else "full")
        yield judged(
            f"group_kernel_{name}",
            measured.pop("ns_per_row"),
            f"<= {limit} ns a row on an idle core",
            is_ok=lambda value, limit=limit: value <= limit,
            smoke=options.smoke,
            **measured,
        )


def _in_its_own_process(name: str, mode: str) -> dict[str, Any]:
    """Its memory was used by nobody before."""
    command = [sys.executable, "-m", "perf.aggregate_kernels", name, mode]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=WATCHDOG_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return dict(json.loads(done.stdout))


def _events(keys: int, rows: int) -> pa.Table:
    random = np.random.default_rng(3)
    columns = {
        "key": random.integers(0, keys, rows),
        "bucket": np.arange(rows) * 2 // rows * 10_000,
        "price": random.integers(0, 1000, rows),
    }
    return pa.table(columns)


def _texts(keys: int, rows: int) -> pa.Table:
    """Most keys are longer than the 15 bytes that a table keeps in its rows."""
    texts = pa.array([f"customer-{number:x}-{'abcdefg'[: number % 8]}" for number in range(keys)])
    events = _events(keys, rows)
    return events.set_column(0, "key", texts.take(events["key"].combine_chunks()))


def _words(rows: int) -> pa.Table:
    random = np.random.default_rng(3)
    lengths = random.integers(2, 13, 20_000)
    vocabulary = pa.array([f"{number:x}".rjust(length, "w") for number, length in enumerate(lengths)])
    return pa.table({"word": vocabulary.take(pa.array(random.zipf(1.3, rows) % 20_000))})


def _measure(name: str, smoke: bool) -> dict[str, Any]:
    scale = 64 if smoke else 1
    if name == "words":
        table = _words(8_000_000 // scale)
        keys, arguments, calls = table.schema, pa.schema([]), CALLS[:1]
        peers: list[Any] = [([], "count_all")]
    else:
        distinct, rows = SIZES.get(name, (TEXTS, 4_000_000))
        table = (_texts if name == "texts" else _events)(distinct // scale + 1, rows // scale)
        keys, arguments, calls = pa.schema(list(table.schema)[:2]), pa.schema(list(table.schema)[2:]), CALLS
        peers = [([], "count_all"), ("price", "sum"), ("price", "max")]
    batches = table.to_batches(BATCH_ROWS)

    def update() -> _core.GroupTable:
        groups = _core.GroupTable(keys, arguments, calls)
        for batch in batches:
            groups.update(batch)
        return groups

    first_s, groups = _timed(update)
    update_s = min([first_s, *(_timed(update)[0] for _ in range(0 if smoke or name == "5m" else 4))])
    drain_s, results = _timed(lambda: list(_drained(groups)))
    peer_s, expected = _timed(lambda: table.group_by(keys.names, use_threads=False).aggregate(peers))
    order = [(key, "ascending") for key in keys.names]
    ours = pa.Table.from_batches(results).sort_by(order)
    theirs = expected.sort_by(order)
    for call, column in zip(calls, peers, strict=True):
        peer = column[1] if not column[0] else "_".join(column)
        assert ours[call[0]].to_pylist()[:1000] == theirs[peer].to_pylist()[:1000], call
    rows = table.num_rows
    return {
        "ns_per_row": update_s / rows * 1e9,
        "pyarrow_ns_per_row": peer_s / rows * 1e9,
        "drain_ns_per_group": drain_s / ours.num_rows * 1e9,
        "groups": ours.num_rows,
        "rows": rows,
        "seconds": update_s,
        "rows_per_s": rows / update_s,
        "cpu_s": time.process_time(),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _drained(groups: _core.GroupTable) -> Iterator[pa.RecordBatch]:
    while (batch := groups.drain_results(BATCH_ROWS)) is not None:
        yield batch


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    result = action()
    return time.process_time() - started, result


CASES: Final = {"group_kernel": _group_kernel}


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], sys.argv[2] == "smoke")))
