"""Stories of ProjectOperator."""

from __future__ import annotations

import pytest

from shmflink.errors import TypeMismatchError
from shmflink.operators.columns.project import ProjectOperator
from shmflink.testing import OperatorHarness


def test_fields_in_the_asked_order() -> None:
    with OperatorHarness(ProjectOperator([2, 0])) as harness:
        harness.process_rows([("a", 1, 1.5)], timestamps=[9])
        assert harness.rows() == [(1.5, "a")]
        assert harness.timestamps() == [9]


def test_one_field_is_still_a_tuple() -> None:
    with OperatorHarness(ProjectOperator([1])) as harness:
        harness.process_rows([("a", 1)])
        assert harness.rows() == [(1,)]


def test_a_short_record_is_named() -> None:
    harness = OperatorHarness(ProjectOperator([1, 0]), name="Projection")
    with harness, pytest.raises(TypeMismatchError, match=r"'Projection'.*\('b',\)"):
        harness.process_rows([("a", 1), ("b",)])
