"""Values for which functions fail: how errors locate them, and where they do not matter."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest

from shmflink.errors import DataFormatError, InternalError
from shmflink.expressions import Expression, bind, coalesce, col, if_then_else, lit

ROWS = 1000
BATCH = pa.record_batch(
    {
        "p": pa.array(range(ROWS), pa.int64()),
        "q": pa.array([0 if row == 617 else 2 for row in range(ROWS)], pa.int64()),
        "s": pa.array(["x" if row == 617 else str(row) for row in range(ROWS)]),
    }
)


def values(expression: Expression, batch: pa.RecordBatch = BATCH) -> list[Any]:
    return bind([expression], batch.schema).evaluate(batch)[0].to_pylist()


def test_the_message_names_place_function_values_and_row() -> None:
    with pytest.raises(DataFormatError) as caught:
        values((col("p") / col("q") + 1).alias("ratio"))
    message = str(caught.value)
    assert re.match(r".*test_steps\.py:\d+: in `\(p / q\)` \(part of `\(\(p / q\) \+ 1\)", message)
    assert "divided_by fails where `p` = 617, `q` = 0 (row 617 of the batch, counted from 0): divide by zero" in message


def test_a_string_that_is_no_number() -> None:
    with pytest.raises(DataFormatError, match=r"cast fails where `s` = 'x' \(row 617 .*it is not a valid int32"):
        values(col("s").cast("INT"))
    assert values(col("s").try_cast("INT"))[616:618] == [616, None]


@pytest.mark.parametrize(
    "expression",
    [
        if_then_else(col("q") != 0, col("p") / col("q"), -1),
        (col("q") == 0).then(-1, col("p") / col("q")),
        if_then_else(col("q") != 0, if_then_else(col("p") >= 0, col("p") / col("q"), 0), -1),
    ],
)
def test_a_branch_may_fail_where_it_is_not_taken(expression: Expression) -> None:
    expected = [row // 2 for row in range(ROWS)]
    expected[617] = -1
    assert values(expression) == expected


def test_the_right_side_of_and_and_or_may_fail_where_the_left_decides() -> None:
    assert values((col("q") != 0) & (col("p") / col("q") > 400)) == [row > 801 and row != 617 for row in range(ROWS)]
    assert values((col("q") == 0) | (col("p") / col("q") > 400)) == [row > 801 or row == 617 for row in range(ROWS)]


def test_the_replacement_of_a_null_may_fail_where_there_is_none() -> None:
    number = col("s").try_cast("INT")
    assert values(coalesce(number, col("p") * 0 - 1))[617] == -1
    assert values(if_then_else(col("s") == "x", lit(None), col("s")).if_null("1").cast("INT"))[616:618] == [616, 1]
    assert values(coalesce(col("p"), col("p") / col("q"))) == list(range(ROWS))


def test_a_failure_inside_a_branch_that_is_taken_has_its_row_of_the_batch() -> None:
    expression = if_then_else(col("p") > 600, col("p") / col("q"), 0)
    with pytest.raises(DataFormatError, match=r"`p` = 617, `q` = 0 \(row 617 of"):
        values(expression)


def test_a_failing_part_that_others_use_fails() -> None:
    ratio = col("p") / col("q")
    bound = bind([if_then_else(col("q") != 0, ratio, 0), ratio], BATCH.schema)
    with pytest.raises(DataFormatError, match="row 617"):
        bound.evaluate(BATCH)


def test_branches_of_lists_and_of_no_rows() -> None:
    split = if_then_else(col("q") != 0, (col("p") / col("q")).cast("STRING").split(""), col("s").split(""))
    assert values(split)[617:619] == [["x"], ["3", "0", "9"]]
    assert values(if_then_else(col("q") != 0, col("p") / col("q"), 0), BATCH.slice(0, 0)) == []
    assert values(if_then_else(col("q") > 5, lit(1) / 0, 2)) == [2] * ROWS
    with pytest.raises(DataFormatError, match="divide by zero"):
        values(lit(1) / 0)


def test_a_batch_of_another_schema_is_a_bug() -> None:
    with pytest.raises(InternalError, match="bound to"):
        bind([col("p")], BATCH.schema).evaluate(BATCH.select(["p"]))
