"""Expressions over columns, with the names of PyFlink's Table expressions (`pyflink.table.expressions`).

`numbers/`, `text/`, `time/`, `nested/`, `sql_json/`, `logic/` and `types/` hold the families of functions,
`expression` what users write, `node` the tree, `registry` what functions are called; `binding` checks a tree against a
schema, `steps` runs it batch by batch.

Imports `core` and `errors`. Trees are plain picklable data; what a function does is looked up by name in the registry,
so that a tree travels to workers. Must not know of operators, streams or processes.
"""

from __future__ import annotations

from shmflink.expressions.aggregates import AggregateCall, count, split_aggregates
from shmflink.expressions.binding import BoundExpressions, bind
from shmflink.expressions.expression import Expression, call_sql, col, lit
from shmflink.expressions.logic.conditional import coalesce, if_then_else, null_if, null_of, type_of
from shmflink.expressions.logic.logic import and_, not_, or_
from shmflink.expressions.nested.arrays import array
from shmflink.expressions.nested.maps import map_, map_from_arrays
from shmflink.expressions.nested.rows import object_of, row
from shmflink.expressions.numbers.arithmetic import negative
from shmflink.expressions.numbers.maths import atan2, e, greatest, least, log, pi
from shmflink.expressions.numbers.randoms import rand, rand_integer, uuid
from shmflink.expressions.predicates import bounds, conjuncts
from shmflink.expressions.sql_json.building import (
    json,
    json_array,
    json_array_agg,
    json_object,
    json_object_agg,
    json_string,
)
from shmflink.expressions.sql_json.options import (
    JsonExistsOnError,
    JsonOnNull,
    JsonQueryOnEmptyOrError,
    JsonQueryWrapper,
    JsonType,
    JsonValueOnEmptyOrError,
)
from shmflink.expressions.text.strings import concat, concat_ws
from shmflink.expressions.time.clocks import (
    current_date,
    current_time,
    current_timestamp,
    local_time,
    local_timestamp,
    using_clock,
)
from shmflink.expressions.time.text import (
    convert_tz,
    date_format,
    from_unixtime,
    to_date,
    to_timestamp,
    to_timestamp_ltz,
    unix_timestamp,
)
from shmflink.expressions.time.times import temporal_overlaps, timestamp_add, timestamp_diff
from shmflink.expressions.time.units import TimeIntervalUnit, TimePointUnit

__all__ = [
    "AggregateCall",
    "BoundExpressions",
    "Expression",
    "JsonExistsOnError",
    "JsonOnNull",
    "JsonQueryOnEmptyOrError",
    "JsonQueryWrapper",
    "JsonType",
    "JsonValueOnEmptyOrError",
    "TimeIntervalUnit",
    "TimePointUnit",
    "and_",
    "array",
    "atan2",
    "bind",
    "bounds",
    "call_sql",
    "coalesce",
    "col",
    "concat",
    "concat_ws",
    "conjuncts",
    "convert_tz",
    "count",
    "current_date",
    "current_time",
    "current_timestamp",
    "date_format",
    "e",
    "from_unixtime",
    "greatest",
    "if_then_else",
    "json",
    "json_array",
    "json_array_agg",
    "json_object",
    "json_object_agg",
    "json_string",
    "least",
    "lit",
    "local_time",
    "local_timestamp",
    "log",
    "map_",
    "map_from_arrays",
    "negative",
    "not_",
    "null_if",
    "null_of",
    "object_of",
    "or_",
    "pi",
    "rand",
    "rand_integer",
    "row",
    "split_aggregates",
    "temporal_overlaps",
    "timestamp_add",
    "timestamp_diff",
    "to_date",
    "to_timestamp",
    "to_timestamp_ltz",
    "type_of",
    "unix_timestamp",
    "using_clock",
    "uuid",
]
