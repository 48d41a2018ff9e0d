#!/usr/bin/env bash
# pyarrow.orc writes other values than the table has, without an error, where a column holds structs:
# - A struct field of a struct column without nulls: after a null in that field, each row gets the value of the row before,
#   and the first of them 0 or "". The last value is lost. If the outer column has a null too, all values are right.
# - A slice of a struct column with nulls: the file has the rows from the first row of the whole column on, not the slice's.
# pyorc reads the same wrong values, and pyarrow reads what pyorc writes right: the writer is at fault, not the reader.
#
# Seen with pyarrow 26.0.1 and pyorc 0.12.0:
#   4, 5, null, 7, 8 -> 4, 5, null, 0, 7
#   [null, 1, 2, null, 4, 5] from its 3rd row on: 2, null, 4, 5 -> null, 1, 2, null
# Exits with a status other than 0 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1 pyorc==0.12.0 tzdata
"$folder/venv/bin/python" - <<'PYTHON'
import io

import pyarrow as pa
import pyorc
from pyarrow import orc


def read_by_pyorc(content):
    return [row["a"] for row in pyorc.Reader(io.BytesIO(content), struct_repr=pyorc.StructRepr.DICT)]


def read_by_pyarrow(content):
    return orc.read_table(io.BytesIO(content))["a"].to_pylist()


def written(column):
    file = io.BytesIO()
    orc.write_table(pa.table({"a": column}), file)
    assert read_by_pyarrow(file.getvalue()) == read_by_pyorc(file.getvalue())
    return read_by_pyarrow(file.getvalue())


def outer(values):
    return [{"inner": None if value is None else {"n": value}} for value in values]


values = [4, 5, None, 7, 8]
nested = written(pa.array(outer(values)))
print(f"pyarrow {pa.__version__}: {outer(values)} -> {nested}")
assert nested == outer([4, 5, None, 0, 7]), nested
assert written(pa.array([None, *outer(values)])) == [None, *outer(values)]
rows = [None if number % 3 == 0 else {"n": number} for number in range(6)]
sliced = written(pa.array(rows).slice(2))
print(f"{rows}, from its 3rd row on: {rows[2:]} -> {sliced}")
assert sliced == rows[:4], sliced
file = io.BytesIO()
with pyorc.Writer(file, "struct<a:struct<inner:struct<n:bigint>>>", struct_repr=pyorc.StructRepr.DICT) as writer:
    writer.writerows([{"a": row} for row in outer(values)])
assert read_by_pyarrow(file.getvalue()) == outer(values)
PYTHON
