"""Keys are extracted before the exchange, separately in each branch of a union; then rows are distributed."""

from __future__ import annotations

import pytest
from oracle.plan_writer import PlanWriter

from shmflink.core.ship_strategy import ShipStrategy
from shmflink.errors import TypeMismatchError
from shmflink.expressions import col
from shmflink.operators.columns.keys import ColumnKeyExtractor
from shmflink.operators.key_extractor import KeyExtractor
from shmflink.plan.calls import KeyBy, KeysAndElements, Map, PartitionCustom, Union
from shmflink.planner.lowered import Subtasks
from shmflink.planner.rules import lowered

BY_USER = KeyBy((("user", col("user")),))


def test_columns_and_functions_have_extractors_of_their_own(writer: PlanWriter) -> None:
    table = writer.table()
    for call, kind in ((BY_USER, ColumnKeyExtractor), (KeyBy(len), KeyExtractor)):
        made = lowered(call, [table])
        assert [type(piece.operator) for piece in made.local] == [kind]
        assert made.local[0].subtasks is Subtasks.LIKE_INPUT
        assert made.routing is not None
        assert made.routing.strategy is ShipStrategy.HASH
        assert made.output_type == table.output_type
    assert "keys on columns: user" in lowered(BY_USER, [table]).why
    assert "per record" in lowered(KeyBy(len), [table]).why


def test_keys_that_are_columns_need_columns_that_are_known(writer: PlanWriter) -> None:
    untyped = writer.call(Map(len), writer.table())
    with pytest.raises(TypeMismatchError, match="key_by: the columns of this stream are not known"):
        lowered(BY_USER, [untyped])
    with pytest.raises(TypeMismatchError, match="no column `nobody`"):
        lowered(KeyBy((("nobody", col("nobody")),)), [writer.table()])


def test_each_branch_of_a_union_extracts_its_keys(writer: PlanWriter) -> None:
    both = writer.call(Union(), writer.table(), writer.table())
    keyed = writer.call(BY_USER, both)
    writer.call(Map(len), keyed)
    made = writer.transformations()
    names = [made[number].name for number in range(keyed.id, max(made) + 1)]
    assert names == ["KeyBy", "KeyBy", "Union", "hash()", "Map"]


def test_a_custom_partitioner_gets_extracted_keys(writer: PlanWriter) -> None:
    made = lowered(PartitionCustom(min, len), [writer.table()])
    assert made.routing is not None
    assert (made.routing.strategy, made.routing.partitioner) == (ShipStrategy.CUSTOM, min)
    assert made.local[0].name == "PartitionCustom"


def test_results_of_a_keyed_stream_are_taken_before_rows_are_distributed(writer: PlanWriter) -> None:
    made = lowered(KeysAndElements(BY_USER), [writer.table()])
    assert made.routing is None
    assert [piece.name for piece in made.pieces] == ["KeyBy", "Map"]
