"""Functions travel by value; shmflink's objects in them become PyFlink's."""

from __future__ import annotations

from typing import Any

import pytest

import shmflink.common
import shmflink.core.row
import shmflink.datastream.functions
import shmflink.datastream.state
from shmflink.common import Row, RowKind, Time, Types
from shmflink.connectors.print_sink import PrintSink
from shmflink.datastream import MapFunction
from shmflink.datastream.state import StateTtlConfig, ValueStateDescriptor
from shmflink.errors import JobGraphError
from shmflink.flinktarget.shipping import LOADER, shipped


def loaded(value: Any) -> Any:
    """As a written program loads it, with shmflink in PyFlink's place: both have the same names."""
    modules = (shmflink.common, shmflink.datastream.functions, shmflink.datastream.state)
    names = {"MODULES": modules, "Row": Row, "RowKind": RowKind}
    imports = "import base64, cloudpickle.cloudpickle, functools, importlib, io, pickle\n"
    exec(imports + LOADER.replace('"pyflink"', '"shmflink"'), names)
    return names["_load"](shipped(value, "it"))  # type: ignore[operator]


class Twice(MapFunction):
    """A class of the program."""

    def map(self, value: Any) -> Any:
        return value * 2


def test_functions_and_what_they_capture_come_back() -> None:
    factor, descriptor = 3, ValueStateDescriptor("v", Types.LIST(Types.INT()))
    function, kind = loaded((lambda value: value * factor, Twice))
    assert function(2) == 6
    assert kind().map(2) == 4
    again = loaded(lambda: descriptor)()
    assert (again.name, again.type_info) == ("v", Types.LIST(Types.INT()))


def test_rows_and_members_of_enumerations_come_back() -> None:
    row = Row(a=1, b="x")
    row.set_row_kind(RowKind.DELETE)
    found = loaded([row, Row(1), RowKind.UPDATE_AFTER])
    assert found == [row, Row(1), RowKind.UPDATE_AFTER]
    assert found[0].get_row_kind() is RowKind.DELETE


def test_what_cannot_travel_is_named() -> None:
    sink = PrintSink()
    with pytest.raises(JobGraphError, match=r"^it: it captures .*PrintSink.* cannot be written for PyFlink"):
        shipped(lambda: sink, "it")
    expiring = ValueStateDescriptor("v", Types.INT())
    expiring.enable_time_to_live(StateTtlConfig.new_builder(Time.hours(1)).build())
    with pytest.raises(JobGraphError, match="it captures ValueStateDescriptor"):
        shipped(lambda: expiring, "it")
    with pytest.raises(JobGraphError, match=r"^it cannot be written for PyFlink: TypeError"):
        shipped((value for value in ()), "it")
