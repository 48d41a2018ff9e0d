"""The cases that other engines run, too: same files, same rows out, one after another in turns, ours last judged.

Of each engine the fastest of some runs counts. Ratios are theirs by ours, so that more than 1 means that ours is
faster: `ratio` compares the job with the query, `wall_ratio` whole processes. Costs are ours by theirs: `cpu_ratio` CPU
seconds of all processes, `query_cpu_ratio` of the TaskManagers by the query's, `memory_ratio`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from operator import le
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from perf.checksum import Checksum, checksum_of, difference
from perf.data import DATASETS, ensure, warm
from perf.engines import OURS, Measured, missing, run_ours, run_peer
from perf.runner import Options, judged

__all__ = ["CASES", "COMPARISONS", "Comparison", "compare"]

IN_PROCESS: Final = ("duckdb", "polars", "pyarrow")

DERIVED: Final = pa.schema(
    [
        ("id", pa.int64()),
        ("ts", pa.timestamp("ms")),
        ("key", pa.int64()),
        ("name", pa.string()),
        ("quantity", pa.int32()),
        ("total", pa.float64()),
    ]
)
AGGREGATED: Final = pa.schema(
    [
        ("key", pa.int64()),
        ("bucket", pa.timestamp("ms")),
        ("n", pa.int64()),
        ("total", pa.float64()),
        ("top", pa.float64()),
    ]
)
AGGREGATED_STRINGS: Final = AGGREGATED.set(0, pa.field("key", pa.string()))


@dataclass(frozen=True, slots=True)
class Target:
    """Ours must be at least this many times as fast: as the best of the engines in our class, or as one engine."""

    at_least: float
    against: str = "best"

    @property
    def text(self) -> str:
        return f">= {self.at_least:g} x {'the best' if self.against == 'best' else self.against}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A case: what is read, what the others run, what we run, what must come out and how fast."""

    name: str
    what: str
    dataset: str
    query: str
    job: str
    schema: pa.Schema
    targets: tuple[Target, ...] = (Target(0.8),)
    engines: tuple[str, ...] = IN_PROCESS
    is_in_smoke: bool = True


@dataclass(slots=True)
class _Runs:
    """All runs of one engine; why it did not run, or what was wrong with its rows."""

    runs: list[Measured] = field(default_factory=list)
    warm_s: float | None = None
    checksum: Checksum | None = None
    problem: str | None = None

    @property
    def best(self) -> Measured:
        return min(self.runs, key=lambda run: run.seconds)


def compare(comparison: Comparison, options: Options) -> Iterator[dict[str, Any]]:
    """A measurement for each engine, then one of ours for each target."""
    if options.smoke and not comparison.is_in_smoke:
        return
    inputs = ensure(comparison.dataset, options.cache, options.scale, options.smoke)
    warm(inputs)
    results = _measure(comparison, inputs, options)
    _compare_rows(results)
    rows = DATASETS[comparison.dataset].rows_at(options.scale, options.smoke)
    for engine, result in results.items():
        if engine != OURS:
            yield _row(comparison, engine, result, rows)
    yield from _verdicts(comparison, results, rows, options)


def _measure(comparison: Comparison, inputs: Path, options: Options) -> dict[str, _Runs]:
    """In turns, so that what else the machine does meets all alike."""
    engines = [*(comparison.engines if options.has_peers else ()), OURS]
    results = {engine: _Runs() for engine in engines if engine not in options.without}
    for engine in results:
        if engine != OURS and (engine != "flink" or not options.smoke):
            results[engine].problem = missing(engine)
    if options.smoke:
        results.pop("flink", None)
    for round_number in range(options.rounds):
        for engine, result in results.items():
            if result.problem is None:
                _run(comparison, engine, result, inputs, options, is_first=round_number == 0)
    return results


def _run(comparison: Comparison, engine: str, result: _Runs, inputs: Path, options: Options, *, is_first: bool) -> None:
    output = options.cache / "output" / f"{comparison.name}-{engine}-{os.getpid()}"
    shutil.rmtree(output, ignore_errors=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        if engine == OURS:
            file_format = DATASETS[comparison.dataset].format
            result.runs.append(run_ours(comparison.job, [file_format, str(inputs), str(output)]))
        else:
            is_warm = engine == "flink" and is_first
            measured = run_peer(engine, comparison.query, inputs, output, is_warm=is_warm)
            result.warm_s = result.warm_s or measured.warm_s
            if not is_warm or options.rounds == 1:  # CPU and memory of a second query in it are no one's
                result.runs.append(measured)
        if is_first:
            result.checksum = checksum_of(output, comparison.schema)
    except (RuntimeError, OSError, pa.ArrowException) as error:
        result.problem = f"failed: {str(error).strip().splitlines()[-1]}"
    finally:
        shutil.rmtree(output, ignore_errors=True)


def _compare_rows(results: dict[str, _Runs]) -> None:
    """The first engine's rows are the reference; engines with other rows have a problem."""
    expected = next((result.checksum for result in results.values() if result.checksum is not None), None)
    for result in results.values():
        if expected is not None and result.checksum is not None:
            what = difference(expected, result.checksum)
            result.problem = result.problem or (what and f"other rows: {what}")


def _verdicts(
    comparison: Comparison, results: dict[str, _Runs], rows: int, options: Options
) -> Iterator[dict[str, Any]]:
    ours = results.get(OURS)
    if ours is None:
        return
    for target in comparison.targets:
        against = _opponent(target, results)
        if target.against != "best" and against is None and target is not comparison.targets[0]:
            continue
        ratios = {} if against is None or not ours.runs else _ratios(ours.best, results[against])
        row = _row(comparison, OURS, ours, rows, **ratios, against=against)
        verdict = judged(
            comparison.name,
            ratios.get("ratio"),
            target.text,
            is_ok=partial(le, target.at_least),
            smoke=options.smoke,
        )
        row |= {key: verdict[key] for key in ("target", "value", "ok")}
        if ours.problem is not None:
            row["ok"] = False
        yield row


def _opponent(target: Target, results: dict[str, _Runs]) -> str | None:
    names = IN_PROCESS if target.against == "best" else (target.against,)
    ran = {name: results[name].best for name in names if name in results and _is_valid(results[name])}
    return min(ran, key=lambda name: ran[name].seconds) if ran else None


def _is_valid(result: _Runs) -> bool:
    return bool(result.runs) and result.problem is None


def _ratios(ours: Measured, peer: _Runs) -> dict[str, float | None]:
    theirs = peer.best
    return {
        "ratio": theirs.seconds / ours.seconds,
        "wall_ratio": theirs.wall_s / ours.wall_s,
        "warm_ratio": None if peer.warm_s is None else peer.warm_s / ours.seconds,
        "cpu_ratio": ours.cpu_s / theirs.cpu_s,
        "query_cpu_ratio": _query_cpu(ours) / _query_cpu(theirs) if theirs.query_cpu_s else None,
        "memory_ratio": ours.peak_mb / theirs.peak_mb if theirs.peak_mb else None,
    }


def _query_cpu(run: Measured) -> float:
    return run.query_cpu_s or run.cpu_s


def _row(comparison: Comparison, engine: str, result: _Runs, rows: int, **rest: Any) -> dict[str, Any]:
    best = result.best if result.runs else None
    measured: dict[str, Any] = (
        {}
        if best is None
        else {
            "seconds": best.seconds,
            "rows_per_s": rows / best.seconds,
            "cpu_s": min(run.cpu_s for run in result.runs),
            "query_cpu_s": min(map(_query_cpu, result.runs)),
            "peak_rss_mb": min(run.peak_mb for run in result.runs),
            "wall_s": min(run.wall_s for run in result.runs),
            "startup_s": best.startup_s,
            "version": best.version,
        }
    )
    if result.warm_s is not None:
        measured["warm_rows_per_s"] = rows / result.warm_s
    wrote = "CSV" if engine == "flink" else "Parquet, snappy"
    more = {"engine": engine, "wrote": wrote, **rest, "problem": result.problem}
    return judged(comparison.name, None, "", is_ok=bool, smoke=True, rows=rows, **measured, **more)


def _aggregates() -> Iterable[Comparison]:
    parquet = ("aggregate_parquet", "perf/jobs/aggregate.py", AGGREGATED)
    csv = ("aggregate_csv", "perf/jobs/aggregate.py", AGGREGATED)
    with_flink = (*IN_PROCESS, "flink")
    for size, target in (("1k", 0.8), ("100k", 1.2), ("5m", 1.2)):
        what = f"count, sum, max by key ({size} of them) and 10 s bucket, from Parquet"
        yield Comparison(
            f"aggregate_{size}", what, f"events_{size}", *parquet, (Target(target),), is_in_smoke=size == "1k"
        )
    for size in ("1k", "100k", "5m"):
        what = f"count, sum, max by key ({size} of them) and 10 s bucket, from CSV"
        targets = (Target(0.9), Target(10, "flink"))
        yield Comparison(
            f"aggregate_csv_{size}", what, f"csv_{size}", *csv, targets, with_flink, is_in_smoke=size == "100k"
        )
    yield Comparison("skew", "the same, half of all rows with one key", "events_skew", *parquet, (Target(1.2),))
    strings = ("aggregate_parquet", "perf/jobs/aggregate.py", AGGREGATED_STRINGS)
    yield Comparison("string_keys", "the same, 100 k keys that are strings", "events_string", *strings, (Target(1.2),))
    yield Comparison("small_files", "the same from 5,000 small files", "small_files", *parquet, (Target(0.8),))


COMPARISONS: Final[dict[str, Comparison]] = {
    one.name: one
    for one in (
        Comparison(
            "etl_parquet",
            "filter, derive, upper: Parquet to Parquet",
            "events_100k",
            "etl_parquet",
            "perf/jobs/etl.py",
            DERIVED,
            (Target(0.8), Target(1.2, "pyarrow")),
        ),
        Comparison(
            "csv_to_parquet",
            "the same from CSV",
            "csv_100k",
            "csv_to_parquet",
            "perf/jobs/etl.py",
            DERIVED,
            (Target(0.9), Target(8, "flink")),
            (*IN_PROCESS, "flink"),
        ),
        Comparison(
            "jsonl_to_parquet",
            "the same from JSON lines",
            "jsonl_100k",
            "jsonl_to_parquet",
            "perf/jobs/etl.py",
            DERIVED,
            (Target(0.9), Target(7, "flink")),
            (*IN_PROCESS, "flink"),
        ),
        *_aggregates(),
        Comparison(
            "word_count",
            "split, explode, count by word, from text",
            "text",
            "word_count",
            "perf/jobs/word_count.py",
            pa.schema([("word", pa.string()), ("n", pa.int64())]),
            (Target(1.2), Target(5, "flink")),
            (*IN_PROCESS, "flink"),
        ),
        Comparison(
            "distinct",
            "distinct keys (5 m of them), from Parquet",
            "events_5m",
            "distinct",
            "perf/jobs/distinct.py",
            pa.schema([("key", pa.int64())]),
            (Target(1.1),),
        ),
        Comparison(
            "wide",
            "3 of 200 columns, half of the rows, Parquet to Parquet",
            "wide",
            "wide",
            "perf/jobs/wide.py",
            pa.schema([("c003", pa.float64()), ("c100", pa.int64()), ("c199", pa.float64())]),
            (Target(1.1),),
        ),
    )
}

CASES = {name: partial(compare, comparison) for name, comparison in COMPARISONS.items()}
