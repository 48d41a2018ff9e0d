"""The heat table: ratios of jobs and whole processes, geometric means, the worst."""

from __future__ import annotations

from pathlib import Path

import pytest

from perf.shapes.command import BEGIN, END, line, summary, write_readme
from perf.shapes.heat import color_of, geometric_mean, markdown, table, versions, worst
from perf.shapes.measuring import Cell


def cell(shape: str, query: str, ratio: float, problem: str | None = None) -> Cell:
    seconds = {"duckdb": ratio, "polars": 2 * ratio, "shmflink": 1.0}
    wall_s = {"duckdb": ratio, "polars": 2 * ratio, "shmflink": 2.0}
    return Cell(shape, query, 1000, seconds, wall_s, {"duckdb": "2.0", "polars": "2.1"}, problem)


CELLS = [cell("plain", "etl", 2.0), cell("plain", "like", 0.5), cell("slim", "etl", 8.0)]


def test_geometric_means_leave_out_what_is_not_there() -> None:
    assert geometric_mean([2.0, None, 8.0]) == pytest.approx(4.0)
    assert geometric_mean([None]) is None


def test_a_line_a_shape_and_means_at_the_ends() -> None:
    assert [row.split() for row in table(CELLS, has_colors=False).splitlines()] == [
        ["shape", "etl", "like", "mean"],
        ["plain", "2.00", "1.00", "0.50", "0.25", "1.00", "0.50"],
        ["slim", "8.00", "4.00", "-", "-", "8.00", "4.00"],
        ["mean", "4.00", "2.00", "0.50", "0.25", "2.00", "1.00"],
    ]


def test_slow_is_red_and_fast_is_green() -> None:
    assert [color_of(ratio) for ratio in (0.2, 0.79, 0.8, 1.2, 5.0)] == [196, 208, 220, 149, 40]
    assert "\x1b[30;48;5;196m 0.25\x1b[0m" in table(CELLS, has_colors=True)


def test_markdown_marks_what_is_slow() -> None:
    assert markdown(CELLS).splitlines()[2:] == [
        "| plain | 2.00 / 1.00 | **0.50** / **0.25** | 1.00 / **0.50** |",
        "| slim | 8.00 / 4.00 | - / - | 8.00 / 4.00 |",
        "| mean | 4.00 / 2.00 | **0.50** / **0.25** | 2.00 / 1.00 |",
    ]


def test_the_worst_come_first_with_their_seconds() -> None:
    many = [cell("plain", "etl", number / 10) for number in range(1, 15)]
    found = worst(many)
    assert len(found) == 10
    assert found[0] == "0.10 / 0.05  plain/etl: job 1.000 s, duckdb 0.100 s; whole 2.00 s, best 0.10 s"


def test_the_summary_names_versions_others_and_problems() -> None:
    text = summary([*CELLS, cell("skew", "etl", 1.0, "polars has other rows")], 0.25, has_colors=False)
    assert versions(CELLS) == "duckdb 2.0, polars 2.1"
    assert "peers: duckdb 2.0, polars 2.1; " in text
    assert "others used 25% of the CPUs" in text
    assert "  skew/etl: polars has other rows" in text
    assert text.splitlines()[-4].startswith("  0.50 / 0.25  plain/like")


def test_a_line_of_a_cell() -> None:
    assert line(CELLS[0]).split() == [
        *("plain/etl", "2.00", "/", "1.00", "duckdb", "2.000/2.00", "s", "polars", "4.000/4.00", "s"),
        *("shmflink", "1.000/2.00", "s"),
    ]


def test_only_what_is_between_the_markers_is_written(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_readme(CELLS, 0.01, path)
    text = path.read_text()
    assert text.startswith(f"before\n{BEGIN}\n\n| job / whole process | etl | like | mean |")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
