"""`python -m perf CASE... [--json] [--smoke]`: measures shmflink on this machine."""

from __future__ import annotations

import argparse
import sys

from perf.runner import collect_cases, print_json, print_table


def main() -> int:
    """Exit code: 0 all targets met (or not judged), 1 some missed, 2 wrong arguments."""
    cases = collect_cases()
    parser = argparse.ArgumentParser(prog="python -m perf", description=__doc__)
    parser.add_argument("case", nargs="*", help=f"which cases: {', '.join(sorted(cases))}; all by default")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, once, targets not judged")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.case if name not in cases]
    if unknown:
        parser.error(f"no case {unknown[0]!r}; there are {', '.join(sorted(cases))}")
    chosen = arguments.case or sorted(cases)
    measurements = (measured for name in chosen for measured in cases[name](arguments.smoke))
    return 0 if (print_json if arguments.json else print_table)(measurements) else 1


if __name__ == "__main__":
    sys.exit(main())
