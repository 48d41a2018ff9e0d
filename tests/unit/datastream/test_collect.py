"""The iterator over a job's results."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shmflink.datastream import CloseableIterator


def failing() -> Iterator[int]:
    yield 1
    raise ValueError("the job failed")


def test_it_closes_itself_once_at_the_end() -> None:
    closed: list[bool] = []
    iterator = CloseableIterator(iter([1, 2]), lambda: closed.append(True))
    assert list(iterator) == [1, 2]
    iterator.close()
    assert closed == [True]


def test_leaving_a_with_closes_it() -> None:
    closed: list[bool] = []
    with CloseableIterator(iter([1, 2]), lambda: closed.append(True)) as iterator:
        assert iterator.next() == 1
    assert closed == [True]
    with pytest.raises(StopIteration):
        iterator.next()


def test_a_failure_comes_after_the_elements_and_closes() -> None:
    closed: list[bool] = []
    iterator = CloseableIterator(failing(), lambda: closed.append(True))
    assert next(iterator) == 1
    with pytest.raises(ValueError, match="the job failed"):
        next(iterator)
    assert closed == [True]
    assert list(iterator) == []
