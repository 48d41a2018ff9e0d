"""Stories of AggregateOperator, with PyFlink's semantics."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import pytest

from shmflink.core.row import Row
from shmflink.errors import TypeMismatchError, UserFunctionError
from shmflink.operators.functions.rolling import AggregateOperator
from shmflink.testing import OperatorHarness


def _run(kind: str, position: Any, rows: list[Any]) -> list[Any]:
    with OperatorHarness(AggregateOperator(kind, position), key_selector=lambda _: 0) as harness:
        harness.process_rows(rows)
        return harness.rows()


_ROWS = [("x", 3, "first"), ("x", 1, "second"), ("x", 3, "third"), ("x", 1, "fourth")]


@pytest.mark.parametrize("make", [tuple, list, lambda fields: Row(*fields)])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("sum", [(3, "first"), (4, "first"), (7, "first"), (8, "first")]),
        ("min", [(3, "first"), (1, "first"), (1, "first"), (1, "first")]),
        ("max", [(3, "first"), (3, "first"), (3, "first"), (3, "first")]),
        ("min_by", [(3, "first"), (1, "second"), (1, "second"), (1, "second")]),
        ("max_by", [(3, "first"), (3, "first"), (3, "first"), (3, "first")]),
    ],
)
def test_one_field_of_tuples_lists_and_rows(make: Any, kind: str, expected: list[tuple[int, str]]) -> None:
    rows = [make(fields) for fields in _ROWS]
    assert _run(kind, 1, rows) == [make(("x", *fields)) for fields in expected]
    assert rows == [make(fields) for fields in _ROWS]  # nothing that came in was changed


def test_fields_of_named_rows_by_name_and_from_the_end() -> None:
    rows = [Row(k="a", v=1), Row(k="a", v=4)]
    assert _run("sum", "v", rows)[-1] == Row(k="a", v=5)
    assert _run("max", -1, rows)[-1] == Row(k="a", v=4)


def test_scalars_are_their_own_field_0() -> None:
    assert _run("sum", 0, [1, 2, 3]) == [1, 3, 6]
    assert _run("min_by", 0, [3, 2, 5]) == [3, 2, 2]


def test_named_tuples_stay_named_tuples() -> None:
    point = namedtuple("point", "key x")  # noqa: PYI024 - the class is what is tested
    assert _run("sum", 1, [point("a", 1), point("a", 2)])[-1].x == 3


@pytest.mark.parametrize(
    ("position", "row", "message"),
    [
        (1, 5, "0th field"),
        (2, ("a", 1), "has 2 fields, not 2"),
        ("v", ("a", 1), "has 2 fields, not 'v'"),
        ("w", Row(k="a", v=1), r"has the fields \['k', 'v'\], not 'w'"),
    ],
)
def test_a_field_that_is_not_there_is_named(position: Any, row: Any, message: str) -> None:
    with pytest.raises(TypeMismatchError, match=message):
        _run("sum", position, [row])


def test_values_that_cannot_be_combined_are_shown() -> None:
    with pytest.raises(UserFunctionError, match=r"sum\(1\) cannot combine \('a', 1\) and \('a', 'x'\)"):
        _run("sum", 1, [("a", 1), ("a", "x")])


def test_batch_mode_gives_the_final_value() -> None:
    harness = OperatorHarness(AggregateOperator("sum", 0), key_selector=lambda x: x % 2, is_batch=True)
    with harness:
        harness.process_rows([1, 2, 3, 4])
        harness.finish()
        assert harness.rows() == [4, 6]
