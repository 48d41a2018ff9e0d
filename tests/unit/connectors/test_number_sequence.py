from __future__ import annotations

import pytest
from oracle.driver import Driver

from shmflink.connectors.number_sequence import BATCH_ROWS, NumberSequenceSource
from shmflink.core.batch import Batch
from shmflink.errors import ConfigurationError


def test_both_ends_are_included_and_rows_are_ints(driver: Driver) -> None:
    rows = driver.rows(NumberSequenceSource(-2, 2))
    assert rows == [-2, -1, 0, 1, 2]
    assert {type(row) for row in rows} == {int}


def test_one_ascending_run_for_each_reader(driver: Driver) -> None:
    enumerator = NumberSequenceSource(1, 10).create_enumerator(3)
    splits = [enumerator.next_split(reader) for reader in range(3)]
    assert [split and split.payload for split in splits] == [(1, 5), (5, 8), (8, 11)]
    assert sorted(driver.rows(NumberSequenceSource(1, 10), 3)) == list(range(1, 11))


def test_batches_are_columns_of_bounded_size(driver: Driver) -> None:
    batches = driver.batches(NumberSequenceSource(0, BATCH_ROWS))
    assert [(batch.num_rows, batch.is_columnar) for batch in batches] == [(BATCH_ROWS, True), (1, True)]


def test_rows_stay_ints_on_the_wire(driver: Driver) -> None:
    (batch,) = driver.batches(NumberSequenceSource(7, 8))
    assert Batch.from_wire(batch.to_wire()).rows() == [7, 8]


def test_the_largest_numbers(driver: Driver) -> None:
    assert driver.rows(NumberSequenceSource(2**63 - 2, 2**63 - 1)) == [2**63 - 2, 2**63 - 1]
    assert driver.rows(NumberSequenceSource(-(2**63), -(2**63))) == [-(2**63)]


@pytest.mark.parametrize(("start", "end"), [(1, 0), (0, 2**63)])
def test_impossible_bounds(start: int, end: int) -> None:
    with pytest.raises(ConfigurationError, match="start <= end"):
        NumberSequenceSource(start, end)
