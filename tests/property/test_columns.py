"""Random programs over columns against a naive interpreter: rows as dicts, one at a time.

Each example runs twice in an inline cluster, in STREAMING and in BATCH mode, cut into other batches and with another
parallelism. What an upsert stream comes to is compared, since its rows depend on how rows come in batches.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shmflink.core.types.typeinfo import ColumnsTypeInfo
from shmflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.expressions import Expression, col, count, lit
from shmflink.testing import MiniCluster

Row = dict[str, Any]

SCHEMA = pa.schema(
    [("a", pa.int64()), ("b", pa.float64()), ("s", pa.utf8()), ("p", pa.bool_()), ("xs", pa.list_(pa.int64()))]
)
KINDS = {"a": "int", "b": "float", "s": "text", "p": "bool", "xs": "list"}

INTS = st.integers(-50, 50)
VALUES = st.fixed_dictionaries(
    {
        "a": st.none() | INTS,
        "b": st.none() | st.integers(-8, 8).map(lambda value: value / 4),
        "s": st.none() | st.sampled_from(["", "x", "yy", "zażółć"]),
        "p": st.none() | st.booleans(),
        "xs": st.none() | st.lists(st.none() | INTS, max_size=4),
    }
)


@dataclass(frozen=True)
class Formula:
    """An expression and what it means for one row."""

    kind: str
    expression: Expression
    value: Callable[[Row], Any]


@dataclass(frozen=True)
class Stage:
    """A method call and what it does to rows."""

    kinds: dict[str, str]
    apply: Callable[[Any], Any]
    meaning: Callable[[list[Row]], list[Row]]
    text: str
    is_upsert: bool = False

    def __repr__(self) -> str:
        return self.text


def both(kind: str, expression: Expression, compute: Callable[..., Any], *parts: Formula) -> Formula:
    """A function that is null where any argument is."""

    def value(row: Row) -> Any:
        values = [part.value(row) for part in parts]
        return None if None in values else compute(*values)

    return Formula(kind, expression, value)


def formulas(draw: Any, kinds: dict[str, str], kind: str, depth: int = 2) -> Formula:
    """A random expression of this kind over these columns."""
    columns = [name for name, of in kinds.items() if of == kind]
    if kind == "list" or (columns and (depth == 0 or draw(st.booleans()))):
        name = draw(st.sampled_from(columns))
        return Formula(kind, col(name), lambda row: row[name])
    if kind == "int":
        if depth and draw(st.booleans()):
            left, right = formulas(draw, kinds, "int", depth - 1), formulas(draw, kinds, "int", depth - 1)
            return draw(
                st.sampled_from(
                    [
                        both("int", left.expression + right.expression, lambda x, y: x + y, left, right),
                        both("int", left.expression - right.expression, lambda x, y: x - y, left, right),
                    ]
                )
            )
        number = draw(INTS)
        return Formula("int", lit(number, pa.int64()), lambda _: number)
    if kind == "bool":
        operand = draw(st.sampled_from(["int", "float", "text"]))
        if depth and operand in kinds.values():
            left, right = formulas(draw, kinds, operand, 0), formulas(draw, kinds, operand, 0)
            return both("bool", left.expression > right.expression, lambda x, y: x > y, left, right)
        left, right = formulas(draw, kinds, "int", 0), formulas(draw, kinds, "int", 0)
        return both("bool", left.expression == right.expression, lambda x, y: x == y, left, right)
    constant = draw(st.sampled_from([0.25, -1.5] if kind == "float" else ["x", "yy"]))
    return Formula(kind, lit(constant), lambda _: constant)


@st.composite
def stages(draw: Any, kinds: dict[str, str]) -> Stage:
    """One more method call on a stream of these columns."""
    names = sorted(kinds)
    choices = ["select", "with_columns", "filter", "drop", "rename", "map"]
    choices += ["explode"] * ("list" in kinds.values())
    match draw(st.sampled_from(choices)):
        case "select":
            kept = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
            return Stage({name: kinds[name] for name in kept}, lambda s: s.select(*kept), pick(kept), f"select{kept}")
        case "drop":
            dropped = draw(st.lists(st.sampled_from(names), min_size=0, max_size=len(names) - 1, unique=True))
            kept = [name for name in kinds if name not in dropped]
            return Stage({n: kinds[n] for n in kept}, lambda s: s.drop(*dropped), pick(kept), f"drop{dropped}")
        case "rename":
            old = draw(st.sampled_from(names))
            new = draw(st.sampled_from([name for name in ("q", "r", "t", "u", "v", "w") if name not in kinds]))
            renamed = {(new if name == old else name): kind for name, kind in kinds.items()}
            return Stage(
                renamed,
                lambda s: s.rename({old: new}),
                lambda rows: [{(new if n == old else n): v for n, v in row.items()} for row in rows],
                f"rename({old} -> {new})",
            )
        case "with_columns":
            name = draw(st.sampled_from([*names, "new"]))
            made = formulas(draw, kinds, draw(st.sampled_from(["int", "float", "bool", "text"])))
            return Stage(
                {**kinds, name: made.kind},
                lambda s: s.with_columns(**{name: made.expression}),
                lambda rows: [{**row, name: made.value(row)} for row in rows],
                f"with_columns({name}={made.expression})",
            )
        case "filter":
            test = formulas(draw, kinds, "bool")
            return Stage(
                kinds,
                lambda s: s.filter(test.expression),
                lambda rows: [row for row in rows if test.value(row) is True],
                f"filter({test.expression})",
            )
        case "map":  # a per-record function in between: rows and columns again
            return Stage(kinds, lambda s: s.map(lambda row: row, output_type=s.get_type()), lambda rows: rows, "map")
        case _:
            name = draw(st.sampled_from([name for name, kind in kinds.items() if kind == "list"]))
            outer = draw(st.booleans())
            return Stage(
                {**kinds, name: "int"},
                lambda s: s.explode(name, outer=outer),
                lambda rows: [{**row, name: item} for row in rows for item in row[name] or ([None] if outer else [])],
                f"explode({name}, outer={outer})",
            )


def pick(kept: list[str]) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [{name: row[name] for name in kept} for row in rows]


@st.composite
def endings(draw: Any, kinds: dict[str, str]) -> Stage | None:
    """An aggregation at the end, or none."""
    keyable = [name for name, kind in kinds.items() if kind != "list"]
    if not keyable or draw(st.booleans()):
        return None
    keys = draw(st.lists(st.sampled_from(keyable), min_size=1, max_size=2, unique=True))
    if draw(st.integers(0, 3)) == 0:
        return Stage(
            {name: kinds[name] for name in keys},
            lambda s: s.distinct(*keys),
            lambda rows: [dict(zip(keys, key, strict=True)) for key in groups(rows, keys)],
            f"distinct{keys}",
        )
    number = formulas(draw, kinds, "int", 1)
    return Stage(
        {**{name: kinds[name] for name in keys}, "n_": "int", "known_": "int", "total_": "int", "top_": "int"},
        lambda s: s.key_by(*keys).aggregate(
            n_=count(),
            known_=number.expression.count,
            total_=number.expression.sum + lit(1, pa.int64()),
            top_=number.expression.max,
        ),
        lambda rows: [summary(keys, key, members, number) for key, members in groups(rows, keys).items()],
        f"key_by{keys}.aggregate({number.expression})",
        is_upsert=True,
    )


def groups(rows: list[Row], keys: list[str]) -> dict[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in keys), []).append(row)
    return found


def summary(keys: list[str], key: tuple[Any, ...], rows: list[Row], number: Formula) -> Row:
    values = [value for row in rows if (value := number.value(row)) is not None]
    return {
        **dict(zip(keys, key, strict=True)),
        "n_": len(rows),
        "known_": len(values),
        "total_": sum(values) + 1 if values else None,
        "top_": max(values, default=None),
    }


@st.composite
def programs(draw: Any) -> list[Stage]:
    made: list[Stage] = []
    kinds = KINDS
    for _ in range(draw(st.integers(0, 5))):
        made.append(draw(stages(kinds)))
        kinds = made[-1].kinds
    ending = draw(endings(kinds))
    return [*made, ending] if ending else made


def batches(rows: list[Row], size: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(rows), size):
        yield pa.RecordBatch.from_pylist(rows[start : start + size], SCHEMA)


Read = Callable[[StreamExecutionEnvironment], Any]


def run(program: list[Stage], read: Read, mode: str, slots: int) -> list[Row]:
    with MiniCluster(slots=slots):
        env = StreamExecutionEnvironment.get_execution_environment()
        env.set_runtime_mode(RuntimeExecutionMode[mode])
        stream = read(env)
        if slots > 1 and mode == "STREAMING":
            stream = stream.rebalance()
        for stage in program:
            stream = stage.apply(stream)
        assert isinstance(stream.get_type(), ColumnsTypeInfo)
        made: list[Row] = stream.to_arrow().to_pylist()
    if mode == "STREAMING" and program and program[-1].is_upsert:
        keys = [name for name in made[0] if not name.endswith("_")] if made else []
        made = list({tuple(row[name] for name in keys): row for row in made}.values())
    return made


def ordered(rows: list[Row]) -> list[str]:
    return sorted(
        repr([(n, -0.0 if isinstance(v, float) and math.isnan(v) else v) for n, v in sorted(r.items())]) for r in rows
    )


def meaning(program: list[Stage], rows: list[Row]) -> list[str]:
    for stage in program:
        rows = stage.meaning(rows)
    return ordered(rows)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs(), st.lists(VALUES, max_size=12), st.integers(1, 4), st.integers(1, 5))
def test_a_program_means_the_same_for_rows_and_columns(
    program: list[Stage], rows: list[Row], slots: int, size: int
) -> None:
    def table(size: int) -> Read:
        return lambda env: env.from_arrow(pa.Table.from_batches(list(batches(rows, size)), SCHEMA))

    expected = meaning(program, rows)
    assert ordered(run(program, table(size), "BATCH", slots)) == expected
    assert ordered(run(program, table(size + 1), "STREAMING", 5 - slots)) == expected


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs(), st.lists(VALUES, min_size=1, max_size=12), st.integers(1, 3), st.integers(1, 5))
def test_what_is_pushed_into_files_changes_nothing(
    program: list[Stage], rows: list[Row], slots: int, size: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, batch in enumerate(batches(rows, 7)):
            table = pa.Table.from_batches([batch])
            pq.write_table(table, f"{folder}/{number}.parquet", row_group_size=size)
        made = run(program, lambda env: env.read_parquet(folder), "BATCH", slots)
    assert ordered(made) == meaning(program, rows)
