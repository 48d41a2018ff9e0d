"""The recording of real Flink 2.3: what its SQL and Table API gave for expressions and aggregates, and how to compare.

``recorded/`` holds one line an answer. Where the Table API gave another answer than SQL, the expression has two lines
and either answer is right. Texts: strings as JSON, bytes as x'..', timestamps with a zone in UTC, maps sorted by text,
NULL.
"""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from shmflink import expressions
from shmflink.errors import ShmflinkError
from shmflink.expressions import bind
from shmflink.expressions.types.names import data_type_of, sql_name

FOLDER = Path(__file__).parent / "recorded"
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_SCOPE = {name: getattr(expressions, name) for name in (*expressions.__all__, "json")}
_SCOPE |= {"pa": pa, "Decimal": decimal.Decimal, "datetime": dt}


@dataclass(frozen=True)
class Answer:
    """Type and value of an expression over the row of inputs, and its value over a row of nulls; or an error."""

    type: str
    value: str
    null_row: str
    error: str = ""

    def fits(self, other: Answer) -> bool:
        """Whether both are the same: doubles to the last digit but one, as libm and Java's StrictMath differ there."""
        if self.error or other.error:
            return bool(self.error) and bool(other.error)
        if comparable_type(self.type) != comparable_type(other.type):
            return False
        return same_text(self.value, other.value, self.type) and same_text(self.null_row, other.null_row, self.type)


def lines(name: str) -> list[dict[str, str]]:
    """The lines of a recorded table."""
    with (FOLDER / name).open(newline="") as file:
        return list(csv.DictReader(file))


def scalar_lines() -> Iterator[tuple[str, str, list[Answer]]]:
    """Id, our expression and Flink's answers, one after the other."""
    grouped: dict[str, tuple[str, list[Answer]]] = {}
    for line in lines("scalars.csv"):
        _, answers = grouped.setdefault(line["id"], (line["expression"], []))
        answers.append(Answer(line["type"], line["value"], line["null_row"], line["error"]))
    for key, (expression, answers) in grouped.items():
        yield key, expression, answers


def inputs() -> pa.Table:
    """The columns that the expressions are over: the row of values, and a row of nulls."""
    columns = {"k": pa.array([1, 2], pa.int32())}
    for line in lines("inputs.csv"):
        kind = data_type_of(line["type"])
        columns[line["name"]] = pa.array([value_of(json.loads(line["value"]), kind), None], kind)
    return pa.table(columns)


def value_of(given: Any, kind: pa.DataType) -> Any:
    """A value of this type as the tables of inputs have it in JSON."""
    if pa.types.is_decimal(kind):
        return decimal.Decimal(given)
    if pa.types.is_binary(kind):
        return bytes.fromhex(given)
    if pa.types.is_map(kind):
        return [tuple(entry) for entry in given]
    if pa.types.is_time(kind):
        return dt.time.fromisoformat(given)
    if pa.types.is_temporal(kind):
        return pa.scalar(given).cast(pa.timestamp(kind.unit) if getattr(kind, "tz", None) else kind).cast(kind)
    return given


def evaluated_expression(text: str) -> expressions.Expression:
    """An expression of the recording, written as a user writes it."""
    built: expressions.Expression = eval(text, dict(_SCOPE))
    return built


def answer(expression: str, table: pa.Table) -> Answer:
    """What shmflink gives for an expression, evaluated as Python."""
    try:
        built = evaluated_expression(expression)
        names = {node.parameters[0] for node in built.walk() if node.function == "col"}
        batch = table.select(sorted(names) or ["k"]).combine_chunks().to_batches()[0]
        bound = bind([built], batch.schema)
        values = [_evaluated(bound, batch.slice(row, 1)) for row in (0, 1)]
    except (ShmflinkError, AttributeError) as error:
        return Answer("", "", "", f"{type(error).__name__}: {error}")
    if isinstance(values[0], ShmflinkError):
        return Answer("", "", "", f"{type(values[0]).__name__}: {values[0]}")
    texts = ["error" if isinstance(value, ShmflinkError) else text_of(value) for value in values]
    return Answer(type_text(bound.fields[0].type), *texts)


def _evaluated(bound: expressions.BoundExpressions, batch: pa.RecordBatch) -> Any:
    try:
        return bound.evaluate(batch)[0][0]
    except ShmflinkError as error:
        return error


def type_text(kind: pa.DataType) -> str:
    """The type in SQL; fixed-size binary with its length."""
    return f"BINARY({kind.byte_width})" if pa.types.is_fixed_size_binary(kind) else sql_name(kind)


def comparable_type(name: str) -> str:
    """Without what Arrow's types do not have: NOT NULL, lengths of strings, classes of rows, units of intervals."""
    name = re.sub(r" NOT NULL|STRUCTURED<'[^']*', ", lambda found: "ROW<" if "<" in found[0] else "", name)
    name = re.sub(r"MULTISET<(.*)>", r"MAP<\1, INT>", name)
    name = re.sub(r"\b(VAR)?CHAR\(\d+\)", "STRING", name)
    return re.sub(r"INTERVAL (DAY|HOUR|MINUTE|SECOND)\b.*", "INTERVAL SECOND(3)", name).replace("`", "")


def same_text(ours: str, theirs: str, kind: str) -> bool:
    """Whether two texts are of one value: numbers as numbers, entries of maps in any order."""
    if ours == theirs:
        return True
    if kind in ("FLOAT", "DOUBLE") and "NULL" not in (ours, theirs):
        left, right = (float(text) for text in (ours, theirs))
        if kind == "FLOAT":
            return bool(np.float32(left) == np.float32(right))
        return math.isclose(left, right, rel_tol=2**-51) and math.copysign(1, left) == math.copysign(1, right)
    return kind.startswith("MAP") and sorted(ours.strip("{}").split(", ")) == sorted(theirs.strip("{}").split(", "))


def text_of(value: pa.Scalar) -> str:
    """A value as the recording writes it."""
    kind, types = value.type, pa.types
    if not value.is_valid:
        return "NULL"
    if types.is_boolean(kind):
        return "TRUE" if value.as_py() else "FALSE"
    if types.is_floating(kind):
        return _float_text(value)
    if types.is_decimal(kind):
        return format(value.as_py(), "f")
    if types.is_string(kind) or types.is_large_string(kind):
        return json.dumps(value.as_py())
    if types.is_binary(kind) or types.is_fixed_size_binary(kind):
        return f"x'{value.as_py().hex()}'"
    if types.is_temporal(kind):
        return _temporal_text(value)
    if types.is_map(kind):
        return "{" + ", ".join(sorted(f"{text_of(entry[0])}: {text_of(entry[1])}" for entry in value.values)) + "}"
    if types.is_list(kind):
        return "[" + ", ".join(map(text_of, value.values)) + "]"
    if types.is_struct(kind):
        return "(" + ", ".join(text_of(value[index]) for index in range(kind.num_fields)) + ")"
    return str(value.as_py())


def _float_text(value: pa.Scalar) -> str:
    number = value.as_py()
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return repr(number) if value.type.bit_width == 64 else repr(float(str(np.float32(number))))


def _temporal_text(value: pa.Scalar) -> str:
    kind, types = value.type, pa.types
    if types.is_interval(kind):
        years, months = divmod(abs(value.as_py().months), 12)
        sign = "-" if value.as_py().months < 0 else ""
        return "P" + (f"{sign}{years}Y" if years else "") + (f"{sign}{months}M" if months else "") or "P0D"
    if types.is_date(kind):
        return str(np.datetime64(value.cast(pa.int32()).as_py(), "D"))
    ticks = value.cast(pa.int32() if kind.bit_width == 32 else pa.int64()).as_py()
    if types.is_duration(kind):
        return _duration_text(ticks, _PER_SECOND[kind.unit])
    seconds, rest = divmod(ticks, _PER_SECOND[kind.unit])
    text = str(np.datetime64(seconds, "s")).replace("T", " ") + _fraction(rest, _PER_SECOND[kind.unit])
    if types.is_time(kind):
        return text[11:]
    return f"+{text}" if len(text.split("-")[0]) > 4 else text


def _duration_text(ticks: int, per_second: int) -> str:
    """Java's `Duration.toString`."""
    seconds, rest = divmod(abs(ticks), per_second)
    sign = "-" if ticks < 0 else ""
    parts = [(seconds // 3600, "H"), (seconds // 60 % 60, "M")]
    text = "".join(f"{sign}{number}{unit}" for number, unit in parts if number)
    if seconds % 60 or rest or not text:
        text += f"{sign}{seconds % 60}{_fraction(rest, per_second)}S"
    return "PT" + text


def _fraction(rest: int, per_second: int) -> str:
    digits = str(rest).zfill(len(str(per_second)) - 1).rstrip("0")
    return f".{digits}" if rest else ""
