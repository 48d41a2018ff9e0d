"""`python -m perf CASE... [--peers] [--json] [--smoke]`: measures shmflink and other engines on this machine.

Other uses: `python -m perf --list`, `python -m perf clean` (removes the data). Flink is measured where
`shmflink flink setup` has installed it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from perf import quiet, report
from perf.data import cache_folder, clean
from perf.engines import ENGINES, OURS
from perf.runner import REPEATS, Case, Options, collect_cases, failed, print_json, print_table
from perf.shapes import command as shapes


def main() -> int:
    """Exit code: 0 all targets met (or not judged), 1 some missed, 2 wrong arguments."""
    cases = collect_cases()
    arguments = _parser(cases).parse_args()
    if arguments.list:
        return _print_cases(cases)
    if arguments.case == ["clean"]:
        print(f"{clean(arguments.data) / 1e9:.1f} GB removed from {arguments.data}")
        return 0
    try:
        return _shapes(arguments) if arguments.shapes else _cases(arguments, cases)
    except quiet.BusyMachineError as error:
        print(f"python -m perf: {error}", file=sys.stderr)
        return 2


def _shapes(arguments: argparse.Namespace) -> int:
    others = quiet.look() if arguments.readme else quiet.Others()
    options = _options(arguments, is_small=arguments.quick)
    try:
        cells, passed = shapes.run(arguments.only, options, is_json=arguments.json)
    except ValueError as error:
        print(f"python -m perf --shapes: {error}", file=sys.stderr)
        return 2
    if arguments.readme:
        others.require_quiet()
        shapes.write_readme(cells, others.share())
    return 0 if passed else 1


def _options(arguments: argparse.Namespace, *, is_small: bool) -> Options:
    has_peers = arguments.peers or is_small
    without = tuple(arguments.without)
    return Options(is_small, has_peers, arguments.scale, arguments.repeats, without, arguments.data)


def _cases(arguments: argparse.Namespace, cases: dict[str, Case]) -> int:
    unknown = [name for name in arguments.case if name not in cases]
    if unknown:
        _parser(cases).error(f"no case {unknown[0]!r}; there are {', '.join(sorted(cases))}")
    others = quiet.look() if arguments.readme else quiet.Others()
    options = _options(arguments, is_small=arguments.smoke)
    chosen = arguments.case or sorted(cases)
    measurements = (measured for name in chosen for measured in _measured(name, cases[name], options))
    if arguments.readme:
        measurements = report.kept(measurements, others)
    passed = (print_json if arguments.json else print_table)(measurements)
    if arguments.readme:
        report.write_readme()
    return 0 if passed else 1


def _measured(name: str, case: Case, options: Options) -> Iterator[Mapping[str, Any]]:
    """A case's measurements, or one that reports the error if a process of the case failed. The next case continues."""
    try:
        yield from case(options)
    except RuntimeError as error:
        print(error, file=sys.stderr, flush=True)
        yield failed(name, error)


def _parser(cases: dict[str, Case]) -> argparse.ArgumentParser:
    summary, _, more = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m perf", description=summary, epilog=more)
    add: Callable[..., Any] = parser.add_argument
    add("case", nargs="*", help=f"which cases: {', '.join(sorted(cases))}; all by default")
    add("--peers", action="store_true", help="other engines run the same, before ours, in turns")
    add("--json", action="store_true", help="one JSON object a line")
    add("--smoke", action="store_true", help="tiny sizes, once, targets not judged; peers but Flink, where installed")
    add("--scale", type=float, default=1.0, metavar="N", help="data sets of N times their rows")
    add("--repeats", type=int, default=REPEATS, metavar="N", help="the best of N runs counts (%(default)s)")
    add("--without", action="append", default=[], choices=(*ENGINES, OURS), help="leave an engine out")
    add("--data", type=Path, default=cache_folder(), metavar="FOLDER", help="where data sets are kept (%(default)s)")
    add(
        "--readme",
        action="store_true",
        help="write what is measured into perf/README.md, if nothing else uses the CPUs",
    )
    add(
        "--shapes",
        action="store_true",
        help="seven queries over files of many shapes, beside DuckDB and Polars",
    )
    add(
        "--quick",
        action="store_true",
        help="of shapes: 20,000 rows, once; without it 4 M rows, fewer where rows are long",
    )
    add("--only", nargs="+", default=[], metavar="NAME", help="of shapes: these shapes, queries, or SHAPE/QUERY")
    add("--list", action="store_true", help="name the cases and end")
    return parser


def _print_cases(cases: dict[str, Case]) -> int:
    for name in sorted(cases):
        print(f"{name:<20} {report.describe(cases[name])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
