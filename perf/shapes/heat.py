"""The table of ratios: for a terminal with colors, as plain text, or as Markdown; and the worst of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from perf.engines import OURS
from perf.peers.shape_queries import QUERIES
from perf.shapes.measuring import Cell

__all__ = ["color_of", "geometric_mean", "markdown", "table", "versions", "worst"]

WORST: Final = 10
NONE: Final = "-"
MEAN: Final = "mean"
HEAT: Final = ((0.5, 196), (0.8, 208), (1.0, 220), (1.3, 149), (math.inf, 40))
"""Up to this ratio, this color of a terminal's 256: from red to green."""

Kind = Callable[[Cell], float | None]


def geometric_mean(ratios: Iterable[float | None]) -> float | None:
    """Of those that are there; None without any."""
    logs = [math.log(ratio) for ratio in ratios if ratio is not None]
    return math.exp(sum(logs) / len(logs)) if logs else None


def color_of(ratio: float) -> int:
    """The color of a ratio."""
    return next(color for bound, color in HEAT if ratio < bound)


def table(cells: Sequence[Cell], *, has_colors: bool) -> str:
    """A line a shape, a column a query: the ratio of the job, then that of the whole process; means at the ends."""
    rows = _rows(cells)
    queries = _queries(cells)
    lines = [f"{'shape':<14}" + "".join(f"{query:^14}" for query in (*queries, MEAN))]
    for name, pairs in rows:
        shown = "".join("  " + " ".join(_shown(ratio, has_colors) for ratio in pair) + " " for pair in pairs)
        lines.append(f"{name:<14}{shown}".rstrip())
    return "\n".join(lines)


def markdown(cells: Sequence[Cell]) -> str:
    """The same as a Markdown table; ratios below 0.8 are bold."""
    queries = _queries(cells)
    lines = ["| job / whole process | " + " | ".join(f"{one}" for one in (*queries, MEAN)) + " |"]
    lines.append("|---" * (len(queries) + 2) + "|")
    for name, pairs in _rows(cells):
        lines.append(f"| {name} | " + " | ".join(" / ".join(map(_marked, pair)) for pair in pairs) + " |")
    return "\n".join(lines)


def worst(cells: Iterable[Cell], count: int = WORST) -> list[str]:
    """The cells where ours loses most, by the ratio of the job, in words."""
    found = sorted((cell.ratio, cell.shape, cell.query, cell) for cell in cells if cell.ratio is not None)
    lines = []
    for ratio, _, _, cell in found[:count]:
        peer = cell.best_peer or ""
        lines.append(
            f"{ratio:.2f} / {cell.wall_ratio:.2f}  {cell.shape}/{cell.query}: job {cell.seconds[OURS]:.3f} s, "
            f"{peer} {cell.seconds[peer]:.3f} s; whole {cell.wall_s[OURS]:.2f} s, best {_best_wall(cell):.2f} s"
        )
    return lines


def versions(cells: Iterable[Cell]) -> str:
    """The peers and their versions, in words."""
    found = {item for cell in cells for item in cell.versions.items()}
    return ", ".join(f"{engine} {version}" for engine, version in sorted(found)) or "no other engine"


def _best_wall(cell: Cell) -> float:
    return min(seconds for engine, seconds in cell.wall_s.items() if engine != OURS)


def _queries(cells: Iterable[Cell]) -> list[str]:
    present = {cell.query for cell in cells}
    return [query for query in QUERIES if query in present]


def _rows(cells: Sequence[Cell]) -> list[tuple[str, list[tuple[float | None, float | None]]]]:
    """Of each shape, and of all of them, a pair of ratios for each query, and for all of them."""
    queries = _queries(cells)
    rows = []
    for shape in dict.fromkeys(cell.shape for cell in cells):
        of_shape = [cell for cell in cells if cell.shape == shape]
        rows.append((shape, _pairs(of_shape, queries)))
    return [*rows, (MEAN, _pairs(cells, queries))]


def _pairs(cells: Sequence[Cell], queries: Sequence[str]) -> list[tuple[float | None, float | None]]:
    groups = [[cell for cell in cells if cell.query == query] for query in queries]
    return [(_mean(group, _job), _mean(group, _wall)) for group in (*groups, cells)]


def _mean(cells: Iterable[Cell], kind: Kind) -> float | None:
    return geometric_mean(map(kind, cells))


def _job(cell: Cell) -> float | None:
    return cell.ratio


def _wall(cell: Cell) -> float | None:
    return cell.wall_ratio


def _shown(ratio: float | None, has_colors: bool) -> str:
    text = f"{NONE:>5}" if ratio is None else f"{ratio:5.2f}"
    return text if ratio is None or not has_colors else f"\x1b[30;48;5;{color_of(ratio)}m{text}\x1b[0m"


def _marked(ratio: float | None) -> str:
    if ratio is None:
        return NONE
    return f"**{ratio:.2f}**" if ratio < 0.8 else f"{ratio:.2f}"
