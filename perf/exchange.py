"""Cases `hop` and `scatter`: the native exchange alone, between two processes and in one.

Each measurement runs in a fresh process (`python -m perf.exchange NAME`), which forks the other end before it has any
thread; the two are pinned to different CPUs where there are two.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from perf.runner import REPEATS, ROOT, WATCHDOG_SECONDS, Options, judged
from shmflink import _core

__all__ = ["CASES"]

BATCH_BYTES: Final = (64 << 10, 256 << 10, 1 << 20)
SEGMENT_BYTES: Final = 256 << 10
FLOATING: Final = 8
EXCLUSIVE: Final = 2
SPIN_NS: Final = 50_000
END: Final = 4  # kind of the control element that ends a stream
DATA_BYTES: Final = 256 << 20  # far beyond any cache
CHANNELS: Final = 8
CPUS: Final = sorted(os.sched_getaffinity(0))  # before anything is pinned


def hop(options: Options) -> Iterable[dict[str, Any]]:
    smoke = options.smoke
    for batch_bytes in BATCH_BYTES:
        best = _best("throughput", smoke, str(batch_bytes), key=lambda run: -run["ratio"])
        yield _judged("hop", best, best.pop("ratio"), ">= 0.5 x a memory copy", lambda value: value >= 0.5, smoke)
    best = _best("round_trip", smoke, key=lambda run: run["ratio"])
    yield _judged("hop", best, best.pop("ratio"), "p50 <= 0.8 x a pipe ping-pong", lambda value: value <= 0.8, smoke)


def scatter(options: Options) -> Iterable[dict[str, Any]]:
    smoke = options.smoke
    best = _best("scatter", smoke, key=lambda run: run["ns_per_row"])
    yield _judged("scatter", best, best.pop("ns_per_row"), "<= 6 ns a row", lambda value: value <= 6, smoke)


CASES = {"hop": hop, "scatter": scatter}


def _judged(
    case: str, best: dict[str, Any], value: float, target: str, is_ok: Callable[[float], bool], smoke: bool
) -> dict[str, Any]:
    return judged(case, value, target, is_ok=is_ok, smoke=smoke, **best)


def _best(name: str, smoke: bool, *arguments: str, key: Callable[[dict[str, Any]], float]) -> dict[str, Any]:
    """The best of REPEATS runs, each in a process of its own."""
    command = [sys.executable, "-m", "perf.exchange", name, "smoke" if smoke else "full", *arguments]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    runs = []
    for _ in range(1 if smoke else REPEATS):
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, timeout=WATCHDOG_SECONDS
        )
        runs.append(json.loads(done.stdout))
    return min(runs, key=key)


@dataclass
class Ends:
    """Memory of two slots, made before the fork: each has a ring memory (one doorbell, one ring) and an arena."""

    ring_memories: list[_core.RingMemory]
    arenas: list[_core.Arena]

    @classmethod
    def create(cls, segment_bytes: int) -> Ends:
        segments = EXCLUSIVE + FLOATING
        return cls(
            [_core.RingMemory.create(1, 1, 1, segments, 8) for _ in range(2)],
            [_core.Arena.create(1, segment_bytes, segments) for _ in range(2)],
        )

    def partition(self, me: int) -> _core.ResultPartition:
        peer = self.ring_memories[1 - me]
        return _core.ResultPartition(
            self.arenas[me], [(peer, 0, peer.doorbell(0))], strategy="FORWARD", exclusive=EXCLUSIVE
        )

    def gate(self, me: int) -> _core.InputGate:
        arena = _core.Arena.open(os.dup(self.arenas[1 - me].fileno()), 1)  # a consumer maps it for reading
        channel = (0, arena, self.ring_memories[1 - me].doorbell(0))
        return _core.InputGate(self.ring_memories[me], [channel], exclusive=EXCLUSIVE, floating=FLOATING)


def _wait_until(bell: _core.Doorbell, is_ready: Callable[[], bool]) -> None:
    while not is_ready():
        token = bell.prepare()
        if is_ready():
            return
        bell.wait(token, 10_000_000_000, SPIN_NS)


def _write(partition: _core.ResultPartition, bell: _core.Doorbell, batch: pa.RecordBatch) -> None:
    done = partition.write(batch)
    while not done:
        _wait_until(bell, lambda: not partition.is_blocked)
        done = partition.resume()


def _in_child(body: Callable[[], None]) -> int:
    """Runs `body` in a forked process, on another CPU."""
    pid = os.fork()
    if pid:
        _pin(0)
        return pid
    status = 1
    try:
        signal.alarm(WATCHDOG_SECONDS)
        _pin(1)
        body()
        status = 0
    finally:
        os._exit(status)


def _pin(place: int) -> None:
    os.sched_setaffinity(0, {CPUS[place % len(CPUS)]})


def _join(pid: int) -> None:
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "the other process failed"


def _throughput(smoke: bool, batch_bytes: int) -> dict[str, Any]:
    """Float and integer columns forwarded to a process that sums every value, and a copy of the same memory."""
    data_bytes = DATA_BYTES // 16 if smoke else DATA_BYTES
    rows = data_bytes // 32
    rounds = 1 if smoke else 8
    whole = pa.record_batch(
        {name: np.arange(rows, dtype=kind) for name, kind in zip("abcd", ("f8", "i8", "f8", "i8"), strict=True)}
    )
    per_batch = batch_bytes // 32
    batches = [whole.slice(start, per_batch) for start in range(0, rows, per_batch)]
    expected = rounds * 4.0 * (rows * (rows - 1) / 2)
    ends = Ends.create(SEGMENT_BYTES)
    answer, answer_in_child = os.pipe()

    def consume() -> None:
        gate, bell, total = ends.gate(1), ends.ring_memories[1].doorbell(0), 0.0
        while True:
            polled = gate.poll()
            if polled is None:
                _wait_until(bell, lambda: gate.is_available)
            elif len(polled) == 2:
                total += sum(float(column.to_numpy().sum()) for column in polled[1].columns)
                del polled  # its segment goes back
            else:
                break
        os.write(answer_in_child, json.dumps([total, gate.retained_copies]).encode())

    child = _in_child(consume)
    partition, bell = ends.partition(0), ends.ring_memories[0].doorbell(0)
    started = time.perf_counter()
    for _ in range(rounds):
        for batch in batches:
            _write(partition, bell, batch)
    while not partition.emit_control(END):
        _wait_until(bell, partition.resume)
    total, copies = json.loads(os.read(answer, 1000))
    seconds = time.perf_counter() - started
    _join(child)
    assert abs(total / expected - 1) < 1e-9, "every value arrived"
    copied = _copy_bytes_per_s([column.to_numpy() for column in whole.columns])
    bytes_per_s = rounds * rows * 32 / seconds
    return {
        "ratio": bytes_per_s / copied,
        "batch_bytes": batch_bytes,
        "gb_per_s": bytes_per_s / 1e9,
        "copy_gb_per_s": copied / 1e9,
        "retained_copies": copies,
        "rows": rounds * rows,
        "seconds": seconds,
        "rows_per_s": rounds * rows / seconds,
        **_usage(),
    }


def _copy_bytes_per_s(arrays: list[np.ndarray[Any, Any]]) -> float:
    """A plain copy of this memory by one core, to pages that are there."""
    targets = [np.zeros_like(array) for array in arrays]
    best = 0.0
    for _ in range(5):
        started = time.perf_counter()
        for target, array in zip(targets, arrays, strict=True):
            np.copyto(target, array)
        best = max(best, sum(array.nbytes for array in arrays) / (time.perf_counter() - started))
    return best


def _round_trip(smoke: bool) -> dict[str, Any]:
    """A batch of 100 rows there and back, and a byte there and back through two pipes."""
    trips = 200 if smoke else 5000
    batch = pa.record_batch({"a": np.arange(100), "b": np.arange(100.0)})
    pipe_us = _pipe_trip_us(trips)
    ends = Ends.create(SEGMENT_BYTES)

    def take(gate: _core.InputGate, bell: _core.Doorbell) -> pa.RecordBatch:
        while (polled := gate.poll()) is None:
            _wait_until(bell, lambda: gate.is_available)
        assert len(polled) == 2
        return polled[1]

    def echo() -> None:
        gate, partition, bell = ends.gate(1), ends.partition(1), ends.ring_memories[1].doorbell(0)
        for _ in range(trips):
            _write(partition, bell, take(gate, bell))
            partition.flush()

    child = _in_child(echo)
    gate, partition, bell = ends.gate(0), ends.partition(0), ends.ring_memories[0].doorbell(0)
    taken = []
    started = time.perf_counter()
    for _ in range(trips):
        sent = time.perf_counter()
        _write(partition, bell, batch)
        partition.flush()
        back = take(gate, bell)
        taken.append(time.perf_counter() - sent)
        assert back.num_rows == 100
        del back
    seconds = time.perf_counter() - started
    _join(child)
    trip_us = statistics.median(taken) * 1e6
    return {
        "ratio": trip_us / pipe_us,
        "round_trip_us_p50": trip_us,
        "pipe_us_p50": pipe_us,
        "rows": trips * 200,
        "seconds": seconds,
        "rows_per_s": trips * 200 / seconds,
        **_usage(),
    }


def _pipe_trip_us(trips: int) -> float:
    there, back = os.pipe(), os.pipe()

    def echo() -> None:
        for _ in range(trips):
            os.write(back[1], os.read(there[0], 1))

    child = _in_child(echo)
    taken = []
    for _ in range(trips):
        sent = time.perf_counter()
        os.write(there[1], b"x")
        os.read(back[0], 1)
        taken.append(time.perf_counter() - sent)
    _join(child)
    return statistics.median(taken) * 1e6


def _scatter(smoke: bool) -> dict[str, Any]:
    """Three 8-byte columns to eight channels by the hash of an int64 key; only the producer's calls are timed."""
    rows, slice_rows = (1 << 17 if smoke else 1 << 22), 1 << 16
    random = np.random.default_rng(7)
    whole = pa.record_batch({"key": random.integers(0, 1 << 40, rows), "a": random.random(rows), "b": np.arange(rows)})
    ring_memories = [_core.RingMemory.create(1, 1, 1, EXCLUSIVE + FLOATING, 8) for _ in range(CHANNELS)]
    producer = _core.RingMemory.create(1, 1, 0, EXCLUSIVE + FLOATING, 8)
    arena = _core.Arena.create(1, SEGMENT_BYTES, CHANNELS * (EXCLUSIVE + FLOATING))
    partition = _core.ResultPartition(
        arena,
        [(ring_memory, 0, ring_memory.doorbell(0)) for ring_memory in ring_memories],
        strategy="HASH",
        exclusive=EXCLUSIVE,
        key_columns=["key"],
    )
    gates = [
        _core.InputGate(ring_memory, [(0, arena, producer.doorbell(0))], exclusive=EXCLUSIVE, floating=FLOATING)
        for ring_memory in ring_memories
    ]
    received, best = 0, float("inf")
    for _ in range(2 if smoke else 5):
        seconds = 0.0
        for start in range(0, rows, slice_rows):
            batch = whole.slice(start, slice_rows)
            step: Callable[[], bool] = lambda batch=batch: partition.write(batch)  # noqa: E731 - a step is one expression
            done = False
            while not done:
                started = time.perf_counter()
                done = step()
                seconds += time.perf_counter() - started
                step = partition.resume
                for gate in gates:
                    while (polled := gate.poll()) is not None:
                        received += polled[1].num_rows if len(polled) == 2 else 0
        best = min(best, seconds)
    assert received == partition.rows_out
    return {
        "ns_per_row": best / rows * 1e9,
        "channels": CHANNELS,
        "rows": rows,
        "seconds": best,
        "rows_per_s": rows / best,
        **_usage(),
    }


def _usage() -> dict[str, float]:
    own, child = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "cpu_s": own.ru_utime + own.ru_stime + child.ru_utime + child.ru_stime,
        "peak_rss_mb": max(own.ru_maxrss, child.ru_maxrss) / 1024,
    }


def _main(name: str, mode: str, *arguments: str) -> None:
    smoke = mode == "smoke"
    gc.freeze()  # what imports made need not be traversed again and again
    match name:
        case "throughput":
            print(json.dumps(_throughput(smoke, int(arguments[0]))))
        case "round_trip":
            print(json.dumps(_round_trip(smoke)))
        case "scatter":
            print(json.dumps(_scatter(smoke)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
