"""Logical plan -> a PyFlink program: one statement for each call, in the program's order."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from shmflink.connectors.collection import CollectionSource
from shmflink.connectors.number_sequence import NumberSequenceSource
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.core.watermark_strategy import WatermarkStrategy
from shmflink.errors import JobGraphError
from shmflink.flinktarget.construction import text_of
from shmflink.flinktarget.counterparts import counterpart
from shmflink.flinktarget.ends_text import file_sink_text, file_source_text
from shmflink.flinktarget.shipping import LOADER, shipped
from shmflink.operators.functions.user_function import describe_function
from shmflink.plan import calls
from shmflink.plan.logical_plan import LogicalPlan
from shmflink.plan.node import Node
from shmflink.plan.place import named
from shmflink.plan.settings import ChainingStrategy

__all__ = ["program_of"]

_KEYS: Final = (
    "execution.runtime-mode",
    "execution.checkpointing.interval",
    "execution.buffer-timeout",
    "execution.buffer-timeout.enabled",
    "parallelism.default",
    "pipeline.auto-watermark-interval",
    "pipeline.max-parallelism",
    "pipeline.operator-chaining.enabled",
    "restart-strategy",
)
"""Keys, and beginnings of keys, that mean in Flink what they mean here."""
_TEXT_MAX: Final = 2000
"""Characters of a collection that stands in the program as text; a longer one is pickled."""

_HEAD: Final = '''"""{name}: a program for PyFlink 2.3, written by `shmflink info --emit`."""

import base64
import functools
import importlib
import io
import pickle
import sys

import cloudpickle.cloudpickle
from pyflink import common, datastream
from pyflink.common import Configuration, Duration, Encoder, Row, RowKind, Time, Types, WatermarkStrategy
from pyflink.common import serialization, typeinfo, watermark_strategy
from pyflink.datastream import OutputTag, StreamExecutionEnvironment, data_stream, functions, state, window
from pyflink.datastream.connectors import file_system, number_seq
from pyflink.datastream.connectors.file_system import (
    BucketAssigner,
    FileSink,
    FileSource,
    OutputFileConfig,
    RollingPolicy,
    StreamFormat,
)
from pyflink.datastream.connectors.number_seq import NumberSequenceSource
from pyflink.datastream.window import *

if sys.version_info[:2] != {version}:
    sys.exit("The pickled functions of this program need Python {dotted}: run it with that version.")

MODULES = (common, datastream, functions, state, window, data_stream, typeinfo, watermark_strategy, serialization,
           file_system, number_seq)
'''


def program_of(plan: LogicalPlan) -> str:
    """The text of the program.

    Raises:
        JobGraphError: PyFlink has no counterpart of a call, or this version does not write it; names each with its
        line and what to do.
    """
    _check(plan)
    return _Writer(plan).program()


def _check(plan: LogicalPlan) -> None:
    problems: list[str] = []
    for node in plan:
        verdict = counterpart(node, plan)
        if not verdict.is_portable:
            problems.append(f"{named(node.name, node.place)}: {verdict.obstacle}; portable: {verdict.instead}")
        elif type(node.call) not in _STATEMENTS:
            problems.append(f"{named(node.name, node.place)}: {verdict.method} is not written in this version")
    if problems:
        raise JobGraphError("the job cannot be written for PyFlink:\n  " + "\n  ".join(problems))


class _Writer:
    """Collects the statements of one program, and the functions that they name."""

    def __init__(self, plan: LogicalPlan) -> None:
        self._plan = plan
        self._functions: dict[str, tuple[str, str]] = {}
        self.variables: dict[int, str] = {}

    def program(self) -> str:
        statements: list[str] = []
        for node in self._plan:
            self.variables[node.id] = f"{re.sub(r'(?<!^)(?=[A-Z])', '_', type(node.call).__name__).lower()}_{node.id}"
            inputs = [self.variables[before] for before in node.inputs]
            text = _STATEMENTS[type(node.call)](self, node, inputs)
            if text is not None:
                place = f"    # {node.place}\n" if node.place else ""
                statements.append(f"{place}    {self.variables[node.id]} = {text}{self._settings(node)}")
        version = sys.version_info[:2]
        head = _HEAD.format(name=self._plan.name, version=version, dotted=".".join(map(str, version)))
        blobs = [f"    # {what}\n    {name!r}: {text!r},\n" for name, (what, text) in self._functions.items()]
        table = "FUNCTIONS = {\n" + "".join(blobs) + "}\n"
        body = "\n".join([*self._environment(), *statements, f"    return env.execute({self._plan.name!r})"])
        run = '\n\nif __name__ == "__main__":\n    main()\n'
        return f"{head}\n{LOADER}\n\n{table}\n\ndef main():\n{body}\n{run}"

    def function(self, node: Node, function: object, role: str = "") -> str:
        """The name under which the program finds it."""
        name = f"{self.variables[node.id]}{role}"
        what = describe_function(function)
        self._functions[name] = what, shipped(function, f"{named(node.name, node.place)}: {what}")
        return f"_load(FUNCTIONS[{name!r}])"

    def text(self, node: Node, value: object, role: str = "") -> str:
        """As text where it has one, else pickled: classes of the user's own."""
        return text_of(value) or self.function(node, value, role)

    def typed(self, node: Node, declared: TypeInformation | None, keyword: str = "output_type") -> str:
        """The argument for a declared type; empty where there is none."""
        return "" if declared is None else f", {keyword}={self.text(node, declared)}"

    def strategy(self, node: Node, strategy: WatermarkStrategy) -> str:
        bound = strategy.max_out_of_orderness
        if bound is None:
            text = "WatermarkStrategy.no_watermarks()"
        elif bound.to_millis() == 0:
            text = "WatermarkStrategy.for_monotonous_timestamps()"
        else:
            text = f"WatermarkStrategy.for_bounded_out_of_orderness({text_of(bound)})"
        if strategy.timestamp_assigner is not None:
            text += f".with_timestamp_assigner({self.function(node, strategy.timestamp_assigner, '_time')})"
        if strategy.idle_timeout is not None:
            text += f".with_idleness({text_of(strategy.idle_timeout)})"
        if strategy.alignment is not None:
            group, *spans = strategy.alignment
            given = ", ".join(str(text_of(span)) for span in spans if span is not None)
            text += f".with_watermark_alignment({group!r}, {given})"
        return text

    def _environment(self) -> list[str]:
        kept = {key: value for key, value in self._plan.configuration.items() if key.startswith(_KEYS)}
        lines = ["    configuration = Configuration()"]
        lines += [f"    configuration.set_string({key!r}, {value!r})" for key, value in sorted(kept.items())]
        left = sorted(self._plan.configuration.keys() - kept.keys())
        if left:
            lines.append(f"    # Settings of shmflink alone: {', '.join(left)}")
        return [*lines, "    env = StreamExecutionEnvironment.get_execution_environment(configuration)"]

    def _settings(self, node: Node) -> str:
        """What the program set on the operator; PyFlink has no other settings of sources and sinks."""
        if not node.call.is_operator or isinstance(node.call, calls.Values):
            return ""
        settings, is_sink = node.settings, isinstance(node.call, calls.Write)
        text = f".name({node.name!r})"
        if settings.uid is not None:
            text += f".uid({settings.uid!r})"
        if settings.uid_hash is not None:
            text += f".set_uid_hash({settings.uid_hash!r})"
        if settings.parallelism not in (None, node.default_parallelism) and not settings.is_parallelism_fixed:
            text += f".set_parallelism({settings.parallelism})"
        if settings.max_parallelism is not None and not settings.is_parallelism_fixed:
            text += f".set_max_parallelism({settings.max_parallelism})"
        if settings.slot_sharing_group is not None:
            text += f".slot_sharing_group({settings.slot_sharing_group!r})"
        if settings.buffer_timeout_ms is not None and not is_sink:
            text += f".set_buffer_timeout({settings.buffer_timeout_ms})"
        if settings.chaining is ChainingStrategy.NEVER:
            text += ".disable_chaining()"
        if settings.chaining is ChainingStrategy.HEAD and not isinstance(node.call, calls.Read):
            text += ".start_new_chain()"
        return text


Statement = Callable[[_Writer, Node, Sequence[str]], str | None]


def _read(writer: _Writer, node: Node, _inputs: Sequence[str]) -> str:
    call = node.call
    assert isinstance(call, calls.Read), call
    source = call.source
    if isinstance(source, CollectionSource):
        items = repr(source.items())
        is_plain = len(items) <= _TEXT_MAX and text_of(source.items()) is not None
        text = items if is_plain else writer.function(node, source.items(), "_items")
        return f"env.from_collection({text}{writer.typed(node, call.declared, 'type_info')})"
    made = (
        "NumberSequenceSource({}, {})".format(*source.bounds)
        if isinstance(source, NumberSequenceSource)
        else file_source_text(source)
    )
    strategy = writer.strategy(node, call.watermark_strategy or WatermarkStrategy.no_watermarks())
    return f"env.from_source({made}, {strategy}, {node.name!r})"


def _write(_writer: _Writer, node: Node, inputs: Sequence[str]) -> str:
    call = node.call
    assert isinstance(call, calls.Write), call
    text = file_sink_text(call.sink, named(node.name, node.place))
    return f"{inputs[0]}.{text}"


def _method(name: str) -> Statement:
    """Of a call of a function."""

    def statement(writer: _Writer, node: Node, inputs: Sequence[str]) -> str:
        call: Any = node.call
        declared = writer.typed(node, call.declared) if name != "filter" and name != "reduce" else ""
        return f"{inputs[0]}.{name}({writer.function(node, call.function)}{declared})"

    return statement


def _connected(name: str) -> Statement:
    def statement(writer: _Writer, node: Node, inputs: Sequence[str]) -> str:
        call: Any = node.call
        function = writer.function(node, call.function)
        return f"{inputs[0]}.connect({inputs[1]}).{name}({function}{writer.typed(node, call.declared)})"

    return statement


def _assign_timestamps(writer: _Writer, node: Node, inputs: Sequence[str]) -> str:
    call = node.call
    assert isinstance(call, calls.AssignTimestamps), call
    return f"{inputs[0]}.assign_timestamps_and_watermarks({writer.strategy(node, call.strategy)})"


def _key_by(writer: _Writer, node: Node, inputs: Sequence[str]) -> str:
    call = node.call
    assert isinstance(call, calls.KeyBy), call
    return f"{inputs[0]}.key_by({writer.function(node, call.key)}{writer.typed(node, call.key_type, 'key_type')})"


def _rolling(_writer: _Writer, node: Node, inputs: Sequence[str]) -> str:
    call = node.call
    assert isinstance(call, calls.RollingAggregate), call
    return f"{inputs[0]}.{call.kind}({call.field!r})"


def _project(_writer: _Writer, node: Node, inputs: Sequence[str]) -> str:
    call = node.call
    assert isinstance(call, calls.Project), call
    return f"{inputs[0]}.project({', '.join(map(str, call.fields))})"


def _partition(_writer: _Writer, node: Node, inputs: Sequence[str]) -> str:
    call = node.call
    assert isinstance(call, calls.Partition), call
    return f"{inputs[0]}.{call.strategy.lower()}()"


def _partition_custom(writer: _Writer, node: Node, inputs: Sequence[str]) -> str:
    call = node.call
    assert isinstance(call, calls.PartitionCustom), call
    partitioner = writer.function(node, call.partitioner, "_partitioner")
    return f"{inputs[0]}.partition_custom({partitioner}, {writer.function(node, call.key, '_key')})"


def _side_output(writer: _Writer, node: Node, inputs: Sequence[str]) -> str:
    call = node.call
    assert isinstance(call, calls.SideOutput), call
    return f"{inputs[0]}.get_side_output({writer.text(node, call.tag)})"


def _window_apply(writer: _Writer, node: Node, inputs: Sequence[str]) -> str:
    call = node.call
    assert isinstance(call, calls.WindowApply), call
    windows = call.windows
    method = "window_all" if windows.is_all else "window"
    text = f"{inputs[0]}.{method}({writer.text(node, windows.assigner, '_windows')})"
    if windows.trigger is not None:
        text += f".trigger({writer.text(node, windows.trigger, '_trigger')})"
    if windows.allowed_lateness_ms:
        text += f".allowed_lateness({windows.allowed_lateness_ms})"
    if windows.late_data is not None:
        text += f".side_output_late_data({writer.text(node, windows.late_data)})"
    function = "" if call.function is None else writer.function(node, call.function, "_function")
    if call.method == "apply":
        kind = "process" if hasattr(call.function, "process") else "apply"
        return f"{text}.{kind}({function}{writer.typed(node, call.declared)})"
    arguments = writer.function(node, call.combine, "_combine") + (f", window_function={function}" if function else "")
    if call.method == "aggregate":
        arguments += writer.typed(node, call.accumulator_type, "accumulator_type")
    is_own_type = function or call.method == "aggregate"
    return f"{text}.{call.method}({arguments}{writer.typed(node, call.declared) if is_own_type else ''})"


_STATEMENTS: Final[Mapping[type[calls.Call], Statement]] = {
    calls.Read: _read,
    calls.Write: _write,
    calls.Map: _method("map"),
    calls.FlatMap: _method("flat_map"),
    calls.Filter: _method("filter"),
    calls.Process: _method("process"),
    calls.Reduce: _method("reduce"),
    calls.Project: _project,
    calls.RollingAggregate: _rolling,
    calls.AssignTimestamps: _assign_timestamps,
    calls.KeyBy: _key_by,
    calls.Values: lambda _writer, _node, inputs: inputs[0],
    calls.Partition: _partition,
    calls.PartitionCustom: _partition_custom,
    calls.Union: lambda _writer, _node, inputs: f"{inputs[0]}.union({', '.join(inputs[1:])})",
    calls.SideOutput: _side_output,
    calls.CoMap: _connected("map"),
    calls.CoFlatMap: _connected("flat_map"),
    calls.CoProcess: _connected("process"),
    calls.WindowApply: _window_apply,
}
