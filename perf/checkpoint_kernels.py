"""The table behind grouped aggregations at checkpoints: 10 M int64 keys with count, sum and max, on one core.

How long the slot waits (freeze), what is written in full and when 1 % of the keys changed, what a restore takes, and
what a key takes in memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from perf.runner import ROOT, WATCHDOG_SECONDS, Options, judged
from shmflink import _core

__all__ = ["CASES"]

KEYS: Final = 10_000_000
BATCH_ROWS: Final = 1 << 16
MAX_PARALLELISM: Final = 128
CALLS: Final[list[Any]] = [
    ("n", "count", [], [], False),
    ("total", "sum", [0], [], False),
    ("most", "max", [0], [], False),
]
FREEZES: Final = 5

_ASKED: Final[dict[str, tuple[str, float]]] = {
    "freeze_ms": ("ms of the slot, 10 M keys", 50.0),
    "freeze_changes_ms": ("ms of the slot, 1 % of 10 M keys", 50.0),
    "changes_ratio": ("of the bytes of a full one, where 1 % changed", 0.05),
    "restore_s": ("s for 10 M keys", 5.0),
    "table_bytes_per_key": ("bytes of the table a key", 60.0),
    "rss_bytes_per_key": ("bytes of memory a key", 60.0),
}


def _checkpoint_kernel(options: Options) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "perf.checkpoint_kernels", str(KEYS // 64 if options.smoke else KEYS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=WATCHDOG_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    measured = dict(json.loads(done.stdout))
    others = {key: value for key, value in measured.items() if key not in _ASKED}
    for name, (what, limit) in _ASKED.items():
        asked = f"<= {limit} {what}"
        is_ok = limit.__ge__
        yield judged(f"checkpoint_kernel_{name}", measured[name], asked, is_ok=is_ok, smoke=options.smoke, **others)


def _table() -> _core.GroupTable:
    return _core.GroupTable(pa.schema([("key", pa.int64())]), pa.schema([("price", pa.int64())]), CALLS)


def _update(table: _core.GroupTable, keys: np.ndarray[Any, Any]) -> None:
    for start in range(0, len(keys), BATCH_ROWS):
        part = keys[start : start + BATCH_ROWS]
        table.update(pa.record_batch({"key": part, "price": part % 1000}))


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = action()
    return time.perf_counter() - started, result


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _written(frozen: _core.FrozenTable) -> list[pa.RecordBatch]:
    batches = list(iter(frozen.next_batch, None))
    frozen.saved(True)
    return batches


def _bytes(batches: Iterable[pa.RecordBatch]) -> int:
    return sum(batch.nbytes for batch in batches)


def _measure(count: int) -> dict[str, float]:
    keys = np.random.default_rng(3).permutation(count)
    before = _rss_bytes()
    table = _table()
    _update(table, keys)
    rss, held = _rss_bytes() - before, table.bytes

    def freeze() -> _core.FrozenTable:
        return table.freeze(MAX_PARALLELISM, is_incremental=True)

    freeze_ms = max(_timed(freeze)[0] for _ in range(FREEZES)) * 1e3
    write_s, full = _timed(lambda: _written(freeze()))
    changes_ms: list[float] = []
    for number in range(FREEZES):
        _update(table, keys[number * count // 100 : (number + 1) * count // 100])
        seconds, frozen = _timed(freeze)
        changes_ms.append(seconds * 1e3)
        assert frozen.is_delta
        changes_write_s, changes = _timed(partial(_written, frozen))
    restored = _table()

    def restore() -> None:
        for batch in full:
            restored.restore(batch)
        restored.end_restore()

    restore_s, _ = _timed(restore)
    assert restored.num_groups == table.num_groups == count
    return {
        "freeze_ms": freeze_ms,
        "freeze_changes_ms": max(changes_ms),
        "changes_ratio": _bytes(changes) / _bytes(full),
        "restore_s": restore_s,
        "table_bytes_per_key": held / count,
        "rss_bytes_per_key": rss / count,
        "full_mb": _bytes(full) / 1e6,
        "changes_mb": _bytes(changes) / 1e6,
        "write_full_s": write_s,
        "write_changes_s": changes_write_s,
        "keys": count,
    }


CASES: Final = {"checkpoint_kernel": _checkpoint_kernel}

if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]))))
