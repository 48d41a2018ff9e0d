"""What was measured last, kept as `figures.json` and shown as the tables of `perf/README.md`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from perf.comparisons import COMPARISONS, Comparison
from perf.engines import ENGINES, OURS
from perf.quiet import Others
from perf.runner import Case

__all__ = ["FOLDER", "describe", "kept", "machine", "tables", "write_readme"]

FOLDER: Final = Path(__file__).parent
BEGIN: Final = "<!-- figures: written by `python -m perf --peers --readme` -->"
NONE: Final = "-"
END: Final = "<!-- end of figures -->"


def describe(case: Case) -> str:
    """One line about a case."""
    if isinstance(case, partial):
        subject = case.args[0]
        return subject.what if isinstance(subject, Comparison) else f"{case.args[1]} windows over generated rows"
    text = case.__doc__ or sys.modules[case.__module__].__doc__ or ""
    return text.strip().splitlines()[0].rstrip(".")


def machine() -> str:
    """Processor, cores and memory in words, without names of hosts."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{len(os.sched_getaffinity(0))} cores ({models[0] if models else 'unknown processor'}), {gib:.0f} GiB"


def kept(measurements: Iterable[Mapping[str, Any]], others: Others) -> Iterator[Mapping[str, Any]]:
    """Passes measurements on and replaces, case by case, those that are kept.

    Raises:
        BusyMachineError: at the end, if others used the CPUs meanwhile; nothing is kept.
    """
    figures = _load()
    command = "python -m perf " + " ".join(sys.argv[1:])
    seen: set[str] = set()
    for measured in measurements:
        name = measured["case"]
        if name not in seen:
            figures["cases"][name] = {"command": command, "machine": machine(), "measured": []}
            seen.add(name)
        figures["cases"][name]["measured"].append(dict(measured))
        yield measured
    others.require_quiet()
    (FOLDER / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def write_readme() -> None:
    """Puts the tables of all that is kept between the markers of README.md."""
    path = FOLDER / "README.md"
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    path.write_text(before + BEGIN + "\n\n" + tables(_load()["cases"]) + END + rest.partition(END)[2], encoding="utf-8")


def tables(cases: Mapping[str, Mapping[str, Any]]) -> str:
    """Speed, cost and the other cases, as Markdown."""
    has_peers = [name for name in cases if any(one.get("engine") in ENGINES for one in cases[name]["measured"])]
    compared = [name for name in COMPARISONS if name in cases]
    compared += [name for name in has_peers if name not in compared]
    lines = ["| million rows/s | rows (M) | shmflink | DuckDB | Polars | pyarrow | Flink cold / warm | ours ÷ theirs |"]
    lines += ["|---|---:|---:|---:|---:|---:|---:|---|", *(_speed(name, cases[name]["measured"]) for name in compared)]
    lines += [
        "",
        "| CPU s of the query / of all / peak MB | shmflink | DuckDB | Polars | pyarrow | Flink | wall, ours ÷ best |",
    ]
    lines += ["|---|---:|---:|---:|---:|---:|---:|", *(_cost(name, cases[name]["measured"]) for name in compared)]
    others = [name for name in cases if name not in compared]
    if others:
        lines += ["", "| other cases | value | target | verdict |", "|---|---:|---|---|"]
        lines += [_other(one) for name in others for one in cases[name]["measured"] if one["ok"] is not None]
    versions = {
        one["engine"]: one["version"] for name in compared for one in cases[name]["measured"] if one.get("version")
    }
    lines += ["", f"{', '.join(f'{name} {version}' for name, version in sorted(versions.items()))}.", ""]
    commands = {(one["command"], one["machine"]) for one in cases.values()}
    lines += [f"- `{command}` on {where}" for command, where in sorted(commands)]
    return "\n".join(lines) + "\n\n"


def _by_engine(measured: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {one["engine"]: one for one in reversed(list(measured))}


def _speed(name: str, measured: list[Mapping[str, Any]]) -> str:
    engines = _by_engine(measured)
    cells = [_rate(engines.get(engine)) for engine in (OURS, *ENGINES)]
    verdicts = "; ".join(_verdict(one) for one in measured if one["engine"] == OURS)
    rows = next((one["rows"] for one in measured if one.get("rows")), 0)
    return f"| `{name}` | {rows / 1e6:g} | {' | '.join(cells)} | {verdicts} |"


def _rate(one: Mapping[str, Any] | None) -> str:
    if one is None:
        return NONE
    if one["rows_per_s"] is None:
        return str(one.get("problem") or NONE)
    warm = f" / {one['warm_rows_per_s'] / 1e6:.2f}" if "warm_rows_per_s" in one else ""
    return f"{one['rows_per_s'] / 1e6:.2f}{warm}" + (f" ({one['problem']})" if one.get("problem") else "")


def _verdict(one: Mapping[str, Any]) -> str:
    if one["value"] is None:
        return str(one.get("problem") or NONE)
    verdict = {True: "ok", False: "**missed**", None: "not judged"}[one["ok"]]
    warm = f", {one['warm_ratio']:.1f} warm" if one.get("warm_ratio") else ""
    against = f" of {one['against']}" if one.get("against") else ""
    return f"{one['value']:.2f}{against}{warm} ({one['target']}: {verdict})"


def _cost(name: str, measured: list[Mapping[str, Any]]) -> str:
    engines = _by_engine(measured)
    cells = [
        f"{one['query_cpu_s']:.1f} / {one['cpu_s']:.1f} / {one['peak_rss_mb']:,.0f}"
        if (one := engines.get(engine)) and one.get("cpu_s") and one.get("query_cpu_s") and one.get("peak_rss_mb")
        else NONE
        for engine in (OURS, *ENGINES)
    ]
    wall = engines.get(OURS, {}).get("wall_ratio")
    return f"| `{name}` | {' | '.join(cells)} | {NONE if wall is None else f'{wall:.2f}'} |"


def _other(one: Mapping[str, Any]) -> str:
    value = one.get("problem") or "-" if one["value"] is None else f"{one['value']:,}"
    return f"| `{one['case']}` | {value} | {one['target']} | {'ok' if one['ok'] else '**missed**'} |"


def _load() -> dict[str, Any]:
    path = FOLDER / "figures.json"
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"cases": {}}
    return loaded
