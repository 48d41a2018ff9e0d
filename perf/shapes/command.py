"""What `python -m perf --shapes` does: measures, prints the heat table and the worst ten, tells by its exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from perf.quiet import Others
from perf.report import FOLDER, machine
from perf.runner import Options
from perf.shapes import heat
from perf.shapes.files import missing_writer
from perf.shapes.measuring import Cell, chosen, measure

__all__ = ["BEGIN", "END", "run", "summary", "write_readme"]

BEGIN: Final = "<!-- shapes: written by `python -m perf --shapes --readme` -->"
END: Final = "<!-- end of shapes -->"


def run(only: Sequence[str], options: Options, *, is_json: bool) -> tuple[list[Cell], bool]:
    """Measures what is chosen; prints a line for each cell as it comes, then the tables. False where rows differed.

    Raises:
        ValueError: a name in `only` is none.
    """
    others = Others()
    cells = []
    for shape, query in chosen(only):
        needed = missing_writer(shape)
        if needed is not None:
            print(
                f"{shape.name} is left out: its files are written by {needed}, which is not installed", file=sys.stderr
            )
            continue
        cells.append(measure(shape, query, options))
        print(json.dumps(_as_json(cells[-1])) if is_json else line(cells[-1]), flush=True)
    if not is_json:
        has_colors = sys.stdout.isatty()
        print("\n" + summary(cells, others.share(), has_colors=has_colors))
    return cells, all(cell.problem is None for cell in cells)


def line(cell: Cell) -> str:
    """A cell in words."""
    seconds = " ".join(f"{engine} {value:.3f}/{cell.wall_s[engine]:.2f} s" for engine, value in cell.seconds.items())
    ratios = "" if cell.ratio is None else f"{cell.ratio:.2f} / {cell.wall_ratio:.2f}"
    return f"{cell.shape + '/' + cell.query:<26}{ratios:<14}{seconds}" + (f"  {cell.problem}" if cell.problem else "")


def summary(cells: Sequence[Cell], others: float, *, has_colors: bool) -> str:
    """The heat table, what it compares, and the worst ten. `others`: the share of the CPUs that others used."""
    problems = [f"  {cell.shape}/{cell.query}: {cell.problem}" for cell in cells if cell.problem]
    return "\n".join(
        [
            "seconds of the best peer ÷ ours: job, then whole process; more than 1: shmflink is faster",
            heat.table(cells, has_colors=has_colors),
            f"peers: {heat.versions(cells)}; {machine()}; others used {others:.0%} of the CPUs",
            *(["", "wrong:", *problems] if problems else []),
            "",
            "the worst, job / whole process:",
            *(f"  {text}" for text in heat.worst(cells)),
        ]
    )


def write_readme(cells: Sequence[Cell], others: float, path: Path = FOLDER / "README.md") -> None:
    """Puts the tables between the markers of README.md."""
    command = "python -m perf " + " ".join(sys.argv[1:])
    text = "\n".join(
        [
            heat.markdown(cells),
            "",
            "The worst:",
            "",
            *(f"- {one}" for one in heat.worst(cells)),
            "",
            f"`{command}` on {machine()}; {heat.versions(cells)}; others used {others:.0%} of the CPUs.",
        ]
    )
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def _as_json(cell: Cell) -> dict[str, Any]:
    return {**asdict(cell), "ratio": cell.ratio, "wall_ratio": cell.wall_ratio}
