"""The operator harness, as users use it."""

from __future__ import annotations

import doctest
from collections.abc import Iterator

import pytest

from shmflink.core.batch import Batch
from shmflink.operators.base import Operator, OperatorContext, SideOutput
from shmflink.testing import OperatorHarness, manual_clock, operator_harness


def test_the_examples_of_the_docstrings_run() -> None:
    for module in (operator_harness, manual_clock):
        assert doctest.testmod(module).failed == 0


class _Tee(Operator):
    def open(self, context: OperatorContext) -> None:
        self._context = context

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch | SideOutput]:
        yield batch
        yield SideOutput("copy", batch)

    def close(self) -> None:
        self._context.mailbox.put(lambda: self.__setattr__("closed", True))


def test_main_and_side_outputs_watermarks_and_mail() -> None:
    operator = _Tee()
    with OperatorHarness(operator) as harness:
        harness.process_rows([1, 2])
        harness.process_watermark(5)
        assert harness.rows() == harness.side_output("copy") == [1, 2]
        assert harness.timestamps() == [None, None]
        assert harness.watermarks() == [5]
        harness.clear()
        assert harness.elements == []
    harness.run_mail()
    assert operator.closed  # type: ignore[attr-defined]


def test_an_operator_without_process_says_so() -> None:
    with OperatorHarness(Operator()) as harness, pytest.raises(NotImplementedError):
        harness.process_rows([1])
