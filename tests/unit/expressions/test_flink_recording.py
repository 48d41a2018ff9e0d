"""Every recorded expression of real Flink 2.3 that has a counterpart: equal in value, type and nulls, or listed."""

from __future__ import annotations

from functools import cache

import pyarrow as pa
import pytest
from oracle.flink_recording import Answer, answer, inputs, lines, scalar_lines

DELIBERATE_MAX = 40

_RECORDED = {key: (expression, answers) for key, expression, answers in scalar_lines()}
_DIFFERENCES = {line["id"]: line for line in lines("differences.csv")}
_AREAS = sorted({key.split("-")[0] for key in _RECORDED})


@cache
def _inputs() -> pa.Table:
    return inputs()


def _mismatch(key: str) -> str | None:
    """What differs from the recording, or from what the list of differences says of it."""
    expression, expected = _RECORDED[key]
    ours = answer(expression, _inputs())
    listed = _DIFFERENCES.get(key)
    if listed is not None:
        expected = [Answer(listed["type"], listed["value"], listed["null_row"], listed["error"])]
    if any(ours.fits(each) for each in expected):
        return None
    return f"{key}: {expression}\n  gives    {ours}\n  expected {' or '.join(map(str, expected))}"


@pytest.mark.parametrize("area", _AREAS)
def test_expressions_give_what_flink_gives(area: str) -> None:
    keys = [key for key in _RECORDED if key.split("-")[0] == area]
    mismatches = [found for found in map(_mismatch, keys) if found is not None]

    assert not mismatches, "\n".join(mismatches)


def test_listed_differences_are_differences() -> None:
    table = _inputs()
    equal = [
        key for key in _DIFFERENCES if any(answer(_RECORDED[key][0], table).fits(each) for each in _RECORDED[key][1])
    ]

    assert not equal, f"take these from differences.csv: {equal}"


def test_deliberate_differences_are_few_and_have_reasons() -> None:
    deliberate = [line for line in _DIFFERENCES.values() if line["kind"] == "deliberate"]

    assert len(deliberate) <= DELIBERATE_MAX
    assert {line["kind"] for line in _DIFFERENCES.values()} == {"deliberate", "fault"}
    assert all(line["reason"] for line in _DIFFERENCES.values())
