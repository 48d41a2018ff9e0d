"""Which edges carry updates, and which consumers get final rows instead (Flink's planner: changelog mode inference).

A pure pass over transformations, before the stream graph is built. In STREAMING mode an aggregate emits the new row of
a key whenever it changes. What its consumers get:

::

    print(), per-record functions, sinks by the same key      every update, as a row
    aggregate(), distinct(), map_batches(), filter(), ...     final rows, if all readers want these; otherwise refused
    to_arrow(), to_pandas(), file sinks, ...                  final rows; with an unbounded input, the job is refused

The operator that would emit the updates emits the final rows itself, at the end of its input, so that nothing is stored
twice. If another consumer reads its updates, the operator exists twice, once for each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import field
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

from shmflink.connectors.base import Boundedness
from shmflink.connectors.collect import CollectSink
from shmflink.core.changelog import Changelog
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.errors import JobGraphError
from shmflink.expressions.node import ALIAS, COLUMN
from shmflink.operators.aggregates.group import GlobalAggregateOperator
from shmflink.operators.columns.as_columns import AsColumnsOperator
from shmflink.operators.columns.expressions import ColumnarOperator, ColumnsOperator
from shmflink.operators.columns.keys import ColumnKeyExtractor
from shmflink.operators.columns.steps import ColumnStep, Explode, Filter, Project, columns_of
from shmflink.operators.functions.keyed_values import KeyedValuesOperator
from shmflink.operators.key_extractor import KeyExtractor
from shmflink.operators.time.timestamps_and_watermarks import TimestampsAndWatermarksOperator
from shmflink.plan.place import at, named
from shmflink.planner.transformations import (
    EveryUpdateTransformation,
    FinalTransformation,
    OperatorTransformation,
    PartitionTransformation,
    SideOutputTransformation,
    SinkTransformation,
    SourceTransformation,
    Transformation,
    UnionTransformation,
    ancestors_first,
)

if TYPE_CHECKING:
    from shmflink.expressions import Expression
    from shmflink.operators.base import Operator

__all__ = ["FINAL_ROWS", "resolve_changelogs"]

FINAL_ROWS: Final = "final rows"
"""The mark in plans of an operator that emits nothing before the end of its input."""

_SAME_ROWS: Final = (
    AsColumnsOperator,
    ColumnKeyExtractor,
    KeyExtractor,
    KeyedValuesOperator,
    TimestampsAndWatermarksOperator,
)
_IN_ORDER: Final = (ShipStrategy.FORWARD, ShipStrategy.HASH, ShipStrategy.GLOBAL, ShipStrategy.BROADCAST)


def resolve_changelogs(
    sinks: Sequence[Transformation], *, is_batch: bool
) -> tuple[list[Transformation], dict[int, str]]:
    """The replacements of `sinks`, without marks; and the changelogs of operators that are not insert-only, by id.

    Raises:
        JobGraphError: a consumer would mistake updates for rows, or needs the final rows of an unbounded input; names
        the lines of the user's program and the remedies.
    """
    plan = _Plan(ancestors_first(sinks), is_batch)
    plan.set_demands()
    return plan.rebuilt(sinks), plan.notes


@dataclass(slots=True)
class _Plan:
    """`demands` of a transformation: of its updates (False), of its final rows (True), or of both."""

    order: Sequence[Transformation]
    is_batch: bool
    notes: dict[int, str] = field(default_factory=dict)
    _consumers: dict[int, list[Transformation]] = field(default_factory=dict)
    _logs: dict[int, Changelog | None] = field(default_factory=dict)
    _depends: dict[int, bool] = field(default_factory=dict)  # on the demand
    _endless: dict[int, str] = field(default_factory=dict)  # name of an unbounded source
    _has_final: dict[int, bool] = field(default_factory=dict)  # whether the updates of its input are bounded
    _demands: dict[int, set[bool]] = field(default_factory=dict)
    _made: dict[tuple[int, bool], Transformation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for t in self.order:
            for before in t.inputs:
                self._consumers.setdefault(before.id, []).append(t)
            self._look_at(t)

    # --- from the sources down ---

    def _look_at(self, t: Transformation) -> None:
        """The properties of `t` that do not depend on its consumers."""
        if isinstance(t, SourceTransformation) and t.source.boundedness is not Boundedness.BOUNDED:
            self._endless[t.id] = t.name
        for before in t.inputs:
            if before.id in self._endless:
                self._endless.setdefault(t.id, self._endless[before.id])
        is_mark = isinstance(t, FinalTransformation | EveryUpdateTransformation)
        made = self._made_by(t)
        origins = _origins(t)
        self._logs[t.id] = None if is_mark else made or self._passed_on(t, origins)
        self._depends[t.id] = not is_mark and (made is not None or any(self._depends[i.id] for i in origins))
        self._has_final[t.id] = is_mark or (
            not self._lacks_final(t, made) and all(self._has_final[i.id] for i in origins)
        )

    def _lacks_final(self, t: Transformation, made: Changelog | None) -> bool:
        return made is not None and (not made.has_final or (made.ends_with_input and t.id in self._endless))

    def _made_by(self, t: Transformation) -> Changelog | None:
        """The updates that an operator creates from insert-only rows."""
        log = t.operator.changelog if isinstance(t, OperatorTransformation) and not self.is_batch else None
        return None if log is None else dataclasses.replace(log, made_by=t.name, place=t.place)

    def _passed_on(self, t: Transformation, origins: Sequence[Transformation]) -> Changelog | None:
        """The updates that `t`, which creates none itself, passes on from its input."""
        logs = [log for i in origins if (log := self._logs[i.id]) is not None]
        if not logs or (isinstance(t, OperatorTransformation) and t.operator.insert_only_method is not None):
            return None
        log = logs[0]
        match t:
            case UnionTransformation():
                return dataclasses.replace(log, key=None, is_per_record=all(each.is_per_record for each in logs))
            case PartitionTransformation(strategy=strategy):
                return log if strategy in _IN_ORDER else dataclasses.replace(log, key=None)
            case OperatorTransformation(operator=ColumnsOperator() as operator):
                return dataclasses.replace(log, key=reduce(_key_behind, operator.steps, log.key))
            case OperatorTransformation(operator=operator) if isinstance(operator, _SAME_ROWS):
                return log
            case OperatorTransformation(operator=GlobalAggregateOperator()):
                return None  # distinct rows
        return dataclasses.replace(log, key=None, is_per_record=True)

    # --- from the sinks up ---

    def set_demands(self) -> None:
        """Determines what consumers demand; consumers first."""
        for t in reversed(self.order):
            demands = self._demands.setdefault(t.id, set())
            if not demands:
                demands.add(self._own_demand(t))
            for is_final in demands:
                self._check(t, is_final)
                for before in t.inputs:
                    if self._asks(t, before):
                        self._demands.setdefault(before.id, set()).add(self._asked(t, is_final))

    def _asks(self, t: Transformation, before: Transformation) -> bool:
        """Late rows and other side outputs are the same in both forms of an operator."""
        return not isinstance(t, SideOutputTransformation) or self._depends[t.id]

    def _asked(self, t: Transformation, is_final: bool) -> bool:
        match t:
            case FinalTransformation():
                return True
            case EveryUpdateTransformation():
                return False
        return is_final

    def _own_demand(self, t: Transformation) -> bool:
        """The demand on a transformation without consumers."""
        if isinstance(t, SinkTransformation):
            log = self._logs[t.inputs[0].id]
            if log is None and not self._depends[t.id]:
                return False
            log = log or Changelog(None)
            return not t.sink.takes_updates(log) and (self._has_final[t.id] or not isinstance(t.sink, CollectSink))
        is_of_columns = isinstance(t, OperatorTransformation) and isinstance(t.operator, ColumnarOperator)
        return is_of_columns and self._has_final[t.id]

    # --- refusals ---

    def _check(self, t: Transformation, is_final: bool) -> None:
        made = self._made_by(t)
        if is_final:
            if made is not None and self._lacks_final(t, made):
                raise JobGraphError(self._no_end(t, made) if made.has_final else self._no_final(t, made))
            return
        if isinstance(t, OperatorTransformation):
            if t.operator.batch_method is not None and not self.is_batch:
                raise JobGraphError(
                    f"{at(t.place)}{t.operator.batch_method} needs BATCH mode: "
                    "env.set_runtime_mode(RuntimeExecutionMode.BATCH). In STREAMING mode, connect() two keyed streams "
                    "and keep rows in the state of a KeyedCoProcessFunction"
                )
            logs = [log for i in t.inputs if (log := self._logs[i.id]) is not None]
            method = _needs_inserts(t.operator, logs[0]) if logs else None
            if method is not None:
                raise JobGraphError(self._needs_rows_that_stand(t, method, logs[0]))

    def _needs_rows_that_stand(self, t: Transformation, method: str, log: Changelog) -> str:
        what = "the new row of a key whenever it changes" if log.has_final else "a window again whenever it fires"
        return (
            f"{at(t.place)}{method} would treat every update of {_producer(log)} as a new row: in STREAMING mode, "
            f"that emits {what}. {self._remedies(t, log)}"
        )

    def _no_final(self, t: Transformation, log: Changelog) -> str:
        reader = self._reader(t)
        return (
            f"{at(reader.place)}'{reader.name}' accepts only final rows, each once, but {_producer(log)} calls its "
            "function again for a window that late elements change, or that its trigger fires before its end. Remove "
            "allowed_lateness() (side_output_late_data() takes late elements) and such triggers, aggregate() the "
            "windows over expressions, or call updates() before it to get every firing as a row"
        )

    def _no_end(self, t: Transformation, log: Changelog) -> str:
        reader = self._reader(t)
        return (
            f"{at(reader.place)}'{reader.name}' accepts only final rows, each once, but {_producer(log)} emits updates "
            f"and never ends, because source '{self._endless[t.id]}' is unbounded. Aggregate in windows "
            "(key_by(...).window(...).aggregate(...)), write to a sink that takes updates by key (PostgresSink with "
            "with_key_columns), print(), or call updates() before it to get every update as a row"
        )

    def _remedies(self, t: Transformation, log: Changelog) -> str:
        window = "aggregate in windows (key_by(...).window(...).aggregate(...))"
        every = "updates() after it, to get every update as a row"
        if not log.has_final:
            return f"Remedies: no allowed_lateness() and no trigger that fires before the window's end; or {every}"
        if t.id in self._endless and log.ends_with_input:
            return f"Remedies: {window}; or {every}"
        batch = "" if t.id in self._endless else "env.set_runtime_mode(RuntimeExecutionMode.BATCH); "
        return f"Remedies: {batch}final() after it, to get only its last rows; {window}; or {every}"

    def _reader(self, t: Transformation) -> Transformation:
        """The consumer that demands the final rows of `t`: the first sink or final() downstream."""
        stack = list(self._consumers.get(t.id, ()))
        while stack:
            consumer = stack.pop(0)
            if isinstance(consumer, FinalTransformation):
                return consumer
            if isinstance(consumer, SinkTransformation) and True in self._demands[consumer.id]:
                return consumer
            stack += self._consumers.get(consumer.id, ())
        return t

    # --- the new program ---

    def rebuilt(self, sinks: Sequence[Transformation]) -> list[Transformation]:
        """The replacements of `sinks`; the sinks themselves if nothing changes."""
        following = max((t.id for t in self.order), default=0) + 1
        for t in self.order:
            for is_final in sorted(self._demands[t.id]):
                twin = is_final and len(self._demands[t.id]) == 2 and self._depends[t.id]
                made = self._variant(t, is_final, following if twin else t.id)
                following += twin
                self._made[t.id, is_final] = made
                if made.id not in self.notes and (note := self._note(t, is_final)):
                    self.notes[made.id] = note
        return [self._made[sink.id, is_final] for sink in sinks for is_final in sorted(self._demands[sink.id])]

    def _variant(self, t: Transformation, is_final: bool, own_id: int) -> Transformation:
        if len(self._demands[t.id]) == 2 and is_final and not self._depends[t.id]:
            return self._made[t.id, False]
        inputs = tuple(self._input(t, before, is_final) for before in t.inputs)
        if isinstance(t, FinalTransformation | EveryUpdateTransformation):
            return inputs[0]
        changes: dict[str, Any] = {}
        if own_id != t.id:
            changes = {"id": own_id, "uid": t.uid and f"{t.uid} (final)", "uid_hash": None}
        if is_final and isinstance(t, OperatorTransformation) and self._made_by(t) is not None:
            changes["operator"] = t.operator.with_final_results()
        if any(new is not old for new, old in zip(inputs, t.inputs, strict=True)):
            changes["inputs"] = inputs
        if isinstance(t, SinkTransformation) and not is_final and (hashed := self._by_key(t, inputs[0])) is not None:
            changes["inputs"] = (hashed,)
        return dataclasses.replace(t, **changes) if changes else t

    def _input(self, t: Transformation, before: Transformation, is_final: bool) -> Transformation:
        wanted = self._made.get((before.id, self._asked(t, is_final)))
        return wanted or self._made[before.id, not self._asked(t, is_final)]

    def _by_key(self, t: SinkTransformation, before: Transformation) -> Transformation | None:
        """Sends the updates of a key to one subtask of a sink that replaces rows by that key."""
        log = self._logs[t.inputs[0].id]
        if log is None or not log.key or log.of_records or before.parallelism == t.parallelism == 1:
            return None
        if before.parallelism == t.parallelism and isinstance(before, OperatorTransformation):
            return None
        if t.sink.takes_updates(dataclasses.replace(log, key=None)):
            return None  # the order does not matter to it
        return PartitionTransformation(
            -t.id, "hash()", (before,), before.output_type, strategy=ShipStrategy.HASH, key_columns=log.key
        )

    def _note(self, t: Transformation, is_final: bool) -> str:
        if not isinstance(t, OperatorTransformation):
            return ""
        if is_final:
            return FINAL_ROWS if self._made_by(t) is not None else ""
        log = self._logs[t.id]
        return "" if log is None else str(log)


def _origins(t: Transformation) -> tuple[Transformation, ...]:
    """The origin of the rows of `t`. Rows of a side output come from the input of its operator."""
    return t.inputs[0].inputs if isinstance(t, SideOutputTransformation) else t.inputs


def _key_behind(key: tuple[str, ...] | None, step: ColumnStep) -> tuple[str, ...] | None:
    """The key's columns after this step; None if one is dropped or computed."""
    if key is None or isinstance(step, Explode):
        return None
    if not isinstance(step, Project):
        return key
    names = {_plain(expression): name for name, expression in reversed(step.named)}
    return tuple(names[name] for name in key) if all(name in names for name in key) else None


def _plain(expression: Expression) -> str | None:
    """The column to which an expression refers; None if it computes something."""
    while expression.function == ALIAS:
        expression = expression.arguments[0]
    return str(expression.parameters[0]) if expression.function == COLUMN else None


def _needs_inserts(operator: Operator, log: Changelog) -> str | None:
    """The method that created an operator which must not receive these updates; None if it may receive them.

    A filter could drop an update although the previous row has passed, unless it reads only the key's columns.
    """
    if not isinstance(operator, ColumnsOperator):
        return operator.insert_only_method
    key = log.key
    for step in () if log.is_per_record else operator.steps:
        if isinstance(step, Explode):
            return "explode()"
        if isinstance(step, Filter) and (key is None or not columns_of(step.predicate) <= set(key)):
            return "filter()"
        key = _key_behind(key, step)
    return None


def _producer(log: Changelog) -> str:
    return named(log.made_by, log.place)
