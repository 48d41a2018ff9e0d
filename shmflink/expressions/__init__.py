"""Expressions over columns, with the names of PyFlink's Table expressions (`pyflink.table.expressions`).

`node` is the tree. `numbers/`, `text/`, `time/`, `nested/`, `sql_json/`, `logic/`, `types/` and `aggregates/` are the
families: each has methods and their kernels, which the `registry` finds by name. `expression` has the class that users
write, with the methods of all families; `functions/` has the free functions. `binding` checks a tree against a schema,
`steps` evaluates it batch by batch, `encoded` evaluates dictionary columns once per value.

Imports `core` and `errors`. Trees are plain picklable data; what a function does is looked up by name in the registry,
so that a tree travels to workers. Must not know of operators, streams or processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shmflink.absent import names_absent
from shmflink.core.lazy_imports import lazy_names

if TYPE_CHECKING:
    from shmflink.expressions.aggregates.calls import AggregateCall, split_aggregates
    from shmflink.expressions.binding import BoundExpressions, bind
    from shmflink.expressions.expression import Expression, call_sql, col, lit
    from shmflink.expressions.functions.aggregates import count
    from shmflink.expressions.functions.logic import and_, coalesce, if_then_else, not_, null_if, null_of, or_, type_of
    from shmflink.expressions.functions.nested import array, map_, map_from_arrays, object_of, row
    from shmflink.expressions.functions.numbers import (
        atan2,
        e,
        greatest,
        least,
        log,
        negative,
        pi,
        rand,
        rand_integer,
        uuid,
    )
    from shmflink.expressions.functions.sql_json import (
        json as json,  # not in __all__: `import *` must not hide a module
    )
    from shmflink.expressions.functions.sql_json import (
        json_array,
        json_array_agg,
        json_object,
        json_object_agg,
        json_string,
    )
    from shmflink.expressions.functions.text import concat, concat_ws
    from shmflink.expressions.functions.time import (
        convert_tz,
        current_date,
        current_time,
        current_timestamp,
        date_format,
        from_unixtime,
        local_time,
        local_timestamp,
        temporal_overlaps,
        timestamp_add,
        timestamp_diff,
        to_date,
        to_timestamp,
        to_timestamp_ltz,
        unix_timestamp,
    )
    from shmflink.expressions.predicates import bounds, conjuncts
    from shmflink.expressions.sql_json.options import (
        JsonExistsOnError,
        JsonOnNull,
        JsonQueryOnEmptyOrError,
        JsonQueryWrapper,
        JsonType,
        JsonValueOnEmptyOrError,
    )
    from shmflink.expressions.time.clocks import using_clock
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

_MODULES = {
    "aggregates.calls": (
        "AggregateCall",
        "split_aggregates",
    ),
    "binding": (
        "BoundExpressions",
        "bind",
    ),
    "expression": (
        "Expression",
        "call_sql",
        "col",
        "lit",
    ),
    "functions.aggregates": ("count",),
    "functions.logic": (
        "and_",
        "coalesce",
        "if_then_else",
        "not_",
        "null_if",
        "null_of",
        "or_",
        "type_of",
    ),
    "functions.nested": (
        "array",
        "map_",
        "map_from_arrays",
        "object_of",
        "row",
    ),
    "functions.numbers": (
        "atan2",
        "e",
        "greatest",
        "least",
        "log",
        "negative",
        "pi",
        "rand",
        "rand_integer",
        "uuid",
    ),
    "functions.sql_json": (
        "json",
        "json_array",
        "json_array_agg",
        "json_object",
        "json_object_agg",
        "json_string",
    ),
    "functions.text": (
        "concat",
        "concat_ws",
    ),
    "functions.time": (
        "convert_tz",
        "current_date",
        "current_time",
        "current_timestamp",
        "date_format",
        "from_unixtime",
        "local_time",
        "local_timestamp",
        "temporal_overlaps",
        "timestamp_add",
        "timestamp_diff",
        "to_date",
        "to_timestamp",
        "to_timestamp_ltz",
        "unix_timestamp",
    ),
    "predicates": (
        "bounds",
        "conjuncts",
    ),
    "sql_json.options": (
        "JsonExistsOnError",
        "JsonOnNull",
        "JsonQueryOnEmptyOrError",
        "JsonQueryWrapper",
        "JsonType",
        "JsonValueOnEmptyOrError",
    ),
    "time.clocks": ("using_clock",),
    "time.units": (
        "TimeIntervalUnit",
        "TimePointUnit",
    ),
}

if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _MODULES, names_absent(__name__))


def __dir__() -> list[str]:
    """The names that completion offers."""
    return __all__
