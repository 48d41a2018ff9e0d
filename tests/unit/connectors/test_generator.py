from __future__ import annotations

import pyarrow as pa
import pytest
from oracle.driver import Driver

from shmflink.connectors.base import Boundedness, Poll
from shmflink.connectors.generator import GeneratorSource
from shmflink.core.batch import Batch
from shmflink.core.types.typeinfo import ColumnsTypeInfo, Types
from shmflink.errors import ConfigurationError, UsageError


def numbers(start: int, stop: int) -> list[int]:
    return list(range(start, stop))


@pytest.mark.parametrize("parallelism", [1, 3])
@pytest.mark.parametrize("rows", [0, 1, 10, 95])
def test_every_row_once(driver: Driver, rows: int, parallelism: int) -> None:
    source = GeneratorSource(numbers, rows, Types.LONG(), batch_rows=10)
    assert sorted(driver.rows(source, parallelism)) == list(range(rows))


def test_the_same_batches_whatever_the_parallelism(driver: Driver) -> None:
    source = GeneratorSource(numbers, 95, batch_rows=10)
    one, three = driver.batches(source), driver.batches(source, 3)
    assert sorted(batch.rows() for batch in one) == sorted(batch.rows() for batch in three)


def test_columns_stay_columns(driver: Driver) -> None:
    source = GeneratorSource(lambda start, stop: pa.record_batch({"n": list(range(start, stop))}), 5)
    (batch,) = driver.batches(source)
    assert batch.columns().to_pydict() == {"n": [0, 1, 2, 3, 4]}


def test_a_function_that_returns_other_rows_than_asked_for(driver: Driver) -> None:
    with pytest.raises(UsageError, match="rows 0 to 4 and returned 1 rows"):
        driver.rows(GeneratorSource(lambda start, stop: [start], 5))


def test_the_rate_is_kept_by_waiting(driver: Driver) -> None:
    source = GeneratorSource(numbers, 20, batch_rows=10, rows_per_second=1000)
    reader = source.create_reader(driver.context())
    enumerator = source.create_enumerator(1)
    for split in iter(lambda: enumerator.next_split(0), None):
        reader.add_split(split)
    reader.no_more_splits()
    assert isinstance(reader.poll(), Batch)
    assert reader.poll() is Poll.WAIT
    driver.clock.now_ms += 9
    assert reader.poll() is Poll.WAIT
    driver.clock.now_ms += 1
    assert isinstance(reader.poll(), Batch)
    reader.close()


def test_impossible_numbers() -> None:
    with pytest.raises(ConfigurationError, match="batch_rows >= 1"):
        GeneratorSource(numbers, 1, batch_rows=0)


def columns(start: int, stop: int) -> pa.RecordBatch:
    return pa.record_batch({"n": pa.array(range(start, stop), pa.int64())})


def test_columns_are_known_before_anything_runs() -> None:
    schema = pa.schema([("n", pa.int64())])
    assert GeneratorSource(columns, 5).produced_type == ColumnsTypeInfo(schema)
    assert GeneratorSource(numbers, 5).produced_type is None
    assert GeneratorSource(lambda start, stop: [1 / start], 5).produced_type is None
    assert GeneratorSource(lambda start, stop: [1 / start], 5, schema).produced_type == ColumnsTypeInfo(schema)


def test_without_a_number_of_rows_there_is_no_end(driver: Driver) -> None:
    source = GeneratorSource(columns, batch_rows=10)
    assert source.boundedness is Boundedness.CONTINUOUS_UNBOUNDED
    enumerator = source.create_enumerator(2)
    first, second = enumerator.next_split(0), enumerator.next_split(1)
    assert (first.payload, second.payload) == ((0, 160), (160, 320))
    assert not enumerator.is_exhausted
    enumerator.add_splits_back([first])
    restored = source.create_enumerator(2, enumerator.snapshot())
    payloads = [restored.next_split(0).payload for _ in range(2)]
    assert payloads == [(0, 160), (320, 480)]
    reader = source.create_reader(driver.context())
    reader.add_split(second)
    assert reader.poll().columns() == columns(160, 170)


def test_a_slow_generator_makes_small_batches(driver: Driver) -> None:
    source = GeneratorSource(columns, 200, rows_per_second=200)
    reader = source.create_reader(driver.context())
    reader.add_split(source.create_enumerator(1).next_split(0))
    assert reader.poll().num_rows == 10
    reader.close()
