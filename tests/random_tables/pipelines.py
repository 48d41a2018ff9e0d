"""What is done with a table, once by shmflink and once by DuckDB."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from shmflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink
from shmflink.expressions import Expression, col, count
from tests.random_tables.tables import Kind

__all__ = ["Pipeline", "random_pipeline"]

_OPERATORS: Final = ("=", "<>", "<", "<=", ">", ">=")
_AGGREGATES: Final = ("sum", "min", "max", "avg")


@dataclass(frozen=True, slots=True)
class Condition:
    """`column operator value`, or a test for null."""

    column: str
    operator: str
    value: Any = None
    type: pa.DataType | None = None

    def expression(self) -> Expression:
        left = col(self.column)
        match self.operator:
            case "is null":
                return left.is_null
            case "is not null":
                return left.is_not_null
            case "=":
                return left == self.value
            case "<>":
                return left != self.value
            case "<":
                return left < self.value
            case "<=":
                return left <= self.value
            case ">":
                return left > self.value
            case _:
                return left >= self.value

    def sql(self) -> str:
        constant = "" if self.type is None else " (select v from literal)"
        return f"{self.column} {self.operator}{constant}"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Filter, then one of `project`, `distinct`, `aggregate`, `write`, over `columns`; `key` of an aggregate."""

    condition: Condition | None
    action: str
    columns: tuple[str, ...]
    key: str | None = None
    aggregate: str | None = None

    def run(self, reader: str, path: Path, parallelism: int) -> pa.Table:
        """By shmflink, in a mini-cluster that is there."""
        env = StreamExecutionEnvironment.get_execution_environment()
        env.set_runtime_mode(RuntimeExecutionMode.BATCH)
        env.set_parallelism(parallelism)
        stream = getattr(env, f"read_{reader}")(str(path))
        if self.condition is not None:
            stream = stream.filter(self.condition.expression())
        if self.action == "write":
            target = path.parent / "out"
            stream.select(*self.columns).sink_to(FileSink.parquet(str(target)))
            env.execute()
            return env.read_parquet(str(target)).to_arrow() if any(target.glob("part-*")) else pa.table({})
        if self.action == "distinct":
            return stream.distinct(*self.columns).to_arrow()
        if self.action == "aggregate":
            made = (
                count(col(self.columns[0])) if self.aggregate is None else getattr(col(self.columns[0]), self.aggregate)
            )
            keyed = stream if self.key is None else stream.key_by(self.key)
            return keyed.aggregate(n=count(), a=made).to_arrow()
        return stream.select(*self.columns).to_arrow()

    def reference(self, database: duckdb.DuckDBPyConnection) -> pa.Table:
        """By DuckDB, of the table `t`."""
        where = ""
        if self.condition is not None:
            if self.condition.type is not None:
                constants = pa.table({"v": pa.array([self.condition.value], self.condition.type)})
                database.register("literal", constants)
            where = f" where {self.condition.sql()}"
        names = ", ".join(self.columns)
        if self.action == "distinct":
            return database.sql(f"select distinct {names} from t{where}").to_arrow_table()
        if self.action == "aggregate":
            made = "count" if self.aggregate is None else self.aggregate
            key = "" if self.key is None else f"{self.key}, "
            group = "" if self.key is None else f" group by {self.key}"
            query = f"select {key}count(*) n, {made}({self.columns[0]}) a from t{where}{group}"
            return database.sql(query).to_arrow_table()
        return database.sql(f"select {names} from t{where}").to_arrow_table()


def random_pipeline(rng: random.Random, table: pa.Table, kinds: list[Kind]) -> Pipeline:
    """One that fits the table."""
    names = table.schema.names
    columns = tuple(rng.sample(names, rng.randint(1, len(names))))
    action = rng.choice(("project", "project", "distinct", "aggregate", "aggregate", "write"))
    condition = _condition(rng, table, kinds) if rng.random() < 0.7 else None
    by_name = dict(zip(names, kinds, strict=True))
    flat = [name for name in names if not by_name[name].is_nested]
    if action in ("distinct", "aggregate") and not flat:
        action = "project"
    if action == "distinct":
        columns = tuple(rng.sample(flat, rng.randint(1, len(flat))))
    if action != "aggregate":
        return Pipeline(condition, action, columns)
    column = rng.choice(names)
    kind = by_name[column]
    choices: list[str | None] = [None]
    choices += _AGGREGATES if kind.is_number else ["min", "max"] if kind.is_ordered and kind.name != "bool" else []
    key = rng.choice([None, *(name for name in flat if name != column)])
    return Pipeline(condition, action, (column,), key, rng.choice(choices))


def _condition(rng: random.Random, table: pa.Table, kinds: list[Kind]) -> Condition:
    index = rng.randrange(len(kinds))
    name, kind = f"c{index}", kinds[index]
    if rng.random() < 0.3 or not kind.is_ordered or kind.name == "nulls":
        return Condition(name, rng.choice(("is null", "is not null")))
    value = kind.draw(rng)
    operators = ("=", "<>") if kind.name in ("bool", "uuid", "binary") else _OPERATORS
    plain = pa.string() if kind.name in ("uuid", "string_view", "dictionary") else kind.type
    return Condition(name, rng.choice(operators), value, plain)
