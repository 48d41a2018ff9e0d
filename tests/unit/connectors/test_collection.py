from __future__ import annotations

import pickle

import pytest
from oracle.driver import Driver

from shmflink.connectors.base import Poll
from shmflink.connectors.collection import SLICE_ROWS, CollectionSource
from shmflink.core.batch import Batch
from shmflink.core.row import Row
from shmflink.core.types.typeinfo import Types
from shmflink.errors import TypeMismatchError


def test_undeclared_elements_come_out_as_they_went_in(driver: Driver) -> None:
    items = [1, True, 1.5, None, ("a", 1), Row(a=1), {"k": [1]}, b"x"]
    rows = driver.rows(CollectionSource(items))
    assert rows == items
    assert list(map(type, rows)) == list(map(type, items))


def test_declared_elements_take_the_declared_form(driver: Driver) -> None:
    row_type = Types.TUPLE([Types.STRING(), Types.BYTE()])
    source = pickle.loads(pickle.dumps(CollectionSource([["a", 200]], row_type)))
    assert driver.rows(source) == [("a", -56)]
    assert source.produced_type == row_type


def test_an_element_of_another_type_is_refused_where_the_program_runs() -> None:
    with pytest.raises(TypeMismatchError, match=r"record 1 of the batch.*INT.*'x'"):
        CollectionSource([1, "x"], Types.INT())


def test_batches_are_bounded_and_one_reader_reads_them(driver: Driver) -> None:
    source = CollectionSource(range(2 * SLICE_ROWS + 1))
    assert source.fixed_parallelism == 1
    assert [batch.num_rows for batch in driver.batches(source)] == [SLICE_ROWS, SLICE_ROWS, 1]


def test_an_empty_collection_has_no_batch(driver: Driver) -> None:
    assert driver.batches(CollectionSource([])) == []


def test_a_reader_goes_on_from_its_snapshot(driver: Driver) -> None:
    source = CollectionSource(range(SLICE_ROWS + 2))
    enumerator = source.create_enumerator(1)
    reader = source.create_reader(driver.context())
    assert reader.poll() is Poll.NEED_SPLIT
    split = enumerator.next_split(0)
    assert split is not None
    reader.add_split(split)
    assert isinstance(reader.poll(), Batch)
    (rest,) = reader.snapshot()
    assert driver.read_split(source, rest) == [SLICE_ROWS, SLICE_ROWS + 1]
