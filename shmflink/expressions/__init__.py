"""Expressions over columns, with the names of PyFlink's Table expressions (`pyflink.table.expressions`).

Imports `core` and `errors`. Trees are plain picklable data; what a function does is looked up by name in the registry,
so that a tree travels to workers. Must not know of operators, streams or processes.
"""

from __future__ import annotations

from shmflink.expressions.aggregates import AggregateCall, count, split_aggregates
from shmflink.expressions.arithmetic import negative
from shmflink.expressions.binding import BoundExpressions, bind
from shmflink.expressions.clocks import (
    current_date,
    current_time,
    current_timestamp,
    local_time,
    local_timestamp,
    using_clock,
)
from shmflink.expressions.conditional import coalesce, if_then_else, null_of
from shmflink.expressions.expression import Expression, col, lit
from shmflink.expressions.logic import and_, not_, or_
from shmflink.expressions.maths import atan2, e, greatest, least, log, pi
from shmflink.expressions.predicates import bounds, conjuncts
from shmflink.expressions.randoms import rand, rand_integer, uuid
from shmflink.expressions.times import temporal_overlaps, timestamp_diff
from shmflink.expressions.units import TimeIntervalUnit, TimePointUnit

__all__ = [
    "AggregateCall",
    "BoundExpressions",
    "Expression",
    "TimeIntervalUnit",
    "TimePointUnit",
    "and_",
    "atan2",
    "bind",
    "bounds",
    "coalesce",
    "col",
    "conjuncts",
    "count",
    "current_date",
    "current_time",
    "current_timestamp",
    "e",
    "greatest",
    "if_then_else",
    "least",
    "lit",
    "local_time",
    "local_timestamp",
    "log",
    "negative",
    "not_",
    "null_of",
    "or_",
    "pi",
    "rand",
    "rand_integer",
    "split_aggregates",
    "temporal_overlaps",
    "timestamp_diff",
    "using_clock",
    "uuid",
]
