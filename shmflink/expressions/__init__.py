"""Expressions over columns, with the names of PyFlink's Table expressions (`pyflink.table.expressions`).

Imports `core` and `errors`. Trees are plain picklable data; what a function does is looked up by name in the registry,
so that a tree travels to workers. Must not know of operators, streams or processes.
"""

from __future__ import annotations

from shmflink.expressions.aggregates import AggregateCall, count, split_aggregates
from shmflink.expressions.arithmetic import negative
from shmflink.expressions.binding import BoundExpressions, bind
from shmflink.expressions.conditional import coalesce, if_then_else, null_of
from shmflink.expressions.expression import Expression, col, lit
from shmflink.expressions.logic import and_, not_, or_
from shmflink.expressions.predicates import bounds, conjuncts

__all__ = [
    "AggregateCall",
    "BoundExpressions",
    "Expression",
    "and_",
    "bind",
    "bounds",
    "coalesce",
    "col",
    "conjuncts",
    "count",
    "if_then_else",
    "lit",
    "negative",
    "not_",
    "null_of",
    "or_",
    "split_aggregates",
]
