"""Numbers as Flink computes them; the examples with many digits were recorded."""

from __future__ import annotations

import pytest

from shmflink.rest.views.statistics import aggregate, percentile, skew, summary, summary_of_subtasks


def test_percentiles_interpolate_between_neighbors() -> None:
    values = list(range(1, 101))
    assert [percentile(values, percent) for percent in (0, 50, 90, 99, 99.9)] == [1.0, 50.5, 90.9, 99.99, 100.0]
    assert percentile([7], 95) == 7.0


def test_a_summary_has_whole_numbers_and_percentiles_as_floats() -> None:
    found = summary([10, 20, 31])
    assert (found["min"], found["max"], found["avg"], found["p50"]) == (10, 31, 20, 20.0)


def test_without_values_percentiles_are_not_known() -> None:
    assert summary([]) == {"min": 0, "max": 0, "avg": 0, **dict.fromkeys(["p50", "p90", "p95", "p99", "p999"], "NaN")}


def test_of_subtasks_flink_computes_no_percentiles() -> None:
    found = summary_of_subtasks([164, 90, -1])
    assert (found["min"], found["max"], found["avg"], found["p50"]) == (90, 164, 127, "NaN")


def test_aggregates_of_subtasks() -> None:
    found = aggregate([296523, 295603])
    recorded = {"min": 295603, "max": 296523, "avg": 296063, "sum": 592126, "median": 296063}
    assert found == {**recorded, "p25": 295603, "p75": 296523, "p95": 296523}


def test_skew_is_the_coefficient_of_variation() -> None:
    assert skew([0.005349794238683127, 0.0205761316872428]) == pytest.approx(58.730158730158735)
    assert (skew([]), skew([0, 0]), skew([5, 5])) == (0.0, 0.0, 0.0)
    assert skew([0, 0, 0, 0, 100]) == 100.0
