"""`python -m tests.random_tables --count 50000 --seed 1`: random tables, files and pipelines, compared with DuckDB.

Each number makes a table, a file of it by pyarrow, Polars or DuckDB, and a filter, projection, aggregate, distinct or
write over it, run by the real operators in this process. Prints what differs with its number; `--seed S --first N
--count 1` does it again. Exit code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.random_tables.trial import trial


def main() -> int:
    summary, _, more = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m tests.random_tables", description=summary, epilog=more)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long")
    options = parser.parse_args()
    began = time.monotonic()
    refused: dict[str, int] = {}
    differences = done = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.first, options.first + options.count):
            if time.monotonic() - began > options.minutes * 60:
                break
            outcome = trial(options.seed, number, Path(folder))
            done += 1
            if outcome.difference is not None:
                differences += 1
                print(f"--seed {options.seed} --first {number}: {outcome.difference}\n    {outcome.story}", flush=True)
            if outcome.refused is not None:
                refused[outcome.refused] = refused.get(outcome.refused, 0) + 1
            if done % 1000 == 0:
                print(f"{done} tables, {differences} differences", file=sys.stderr, flush=True)
    for reason, times in sorted(refused.items()):
        print(f"refused, as it must be: {reason}: {times}")
    print(f"{done} tables, {differences} differences, {time.monotonic() - began:.0f} s")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
