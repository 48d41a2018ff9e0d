"""The only access to pickle."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shmflink.core.serialization.codec import (
    dumps_function,
    dumps_value,
    dumps_values,
    loads_trusted,
    loads_value,
    loads_values,
)
from shmflink.errors import SerializationError

FACTOR = 3


def test_a_schema_travels_as_one_image() -> None:
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False, metadata={"k": "v"}), ("l", pa.list_(pa.string()))])
    schema = schema.with_metadata({"m": "n"})
    image = dumps_function({"schema": schema}, "a plan")
    assert loads_trusted(image)["schema"].equals(schema, check_metadata=True)
    wide = dumps_function(pa.schema([(f"c{number}", pa.int64()) for number in range(1000)]), "a plan")
    assert b"Field" not in wide


class Holder:
    def __init__(self) -> None:
        self.inner = {"lock": threading.Lock()}

    def method(self, value: Any) -> Any:
        return value


def test_lambdas_closures_and_local_classes_travel() -> None:
    offset = 5

    class Local:
        def add(self, value: int) -> int:
            return value + offset

    assert loads_trusted(dumps_function(lambda value: value * FACTOR, "the map function"))(2) == 6
    assert loads_trusted(dumps_function(Local().add, "the map function"))(1) == 6


def test_functions_keep_file_and_line_however_deeply_nested() -> None:
    def outer() -> Any:
        return lambda: [lambda: 1 for _ in range(1)]

    travelled = loads_trusted(dumps_function(outer, "the map function"))
    for function in (travelled, travelled(), travelled()()[0]):
        assert function.__code__.co_filename == __file__
    assert travelled.__code__.co_firstlineno == outer.__code__.co_firstlineno


def test_the_error_names_what_the_function_captures() -> None:
    """[U5]"""
    lock = threading.Lock()

    def f(value: Any) -> Any:
        return lock, value

    with pytest.raises(
        SerializationError,
        match=r"operator 'Map' cannot be sent.*function `f` \(test_codec.py:\d+\) captures `lock` of type _thread.lock",
    ):
        dumps_function(f, "operator 'Map'")


def test_the_error_names_the_path_to_an_attribute() -> None:
    holder = Holder()
    with pytest.raises(SerializationError, match=r"captures `holder.inner\['lock'\]` of type _thread.lock"):
        dumps_function(lambda value: holder.method(value), "operator 'Map'")
    with pytest.raises(SerializationError, match=r"the Holder object captures `inner\['lock'\]`"):
        dumps_function(holder, "operator 'Map'")


def test_bytes_that_cannot_be_loaded_say_what_to_do() -> None:
    with pytest.raises(SerializationError, match="beside the job file"):
        loads_trusted(b"cnot_a_module\nname\n.")


def test_records_travel_one_by_one() -> None:
    records = [1, "a", {"a": [1]}, None, (1, 2)]
    assert loads_values(dumps_values(records)) == records
    assert loads_value(dumps_value({1, 2})) == {1, 2}


def test_a_record_that_cannot_travel_is_named() -> None:
    with pytest.raises(SerializationError, match=r"the record \[1, <unlocked.*captures `\[1\]` of type _thread.lock"):
        dumps_value([1, threading.Lock()])


class Slotted:
    __slots__ = ("function",)

    def __init__(self, function: object) -> None:
        self.function = function


def test_what_cannot_travel_is_found_behind_slots() -> None:
    lock = threading.Lock()
    with pytest.raises(
        SerializationError, match=r"the function `<lambda>` \(test_codec.py:\d+\) captures `lock` of type"
    ):
        dumps_function(Slotted(lambda: lock.acquire()), "the operator")


def test_records_of_the_job_files_own_classes_reach_other_processes(tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text(
        "import subprocess, sys\n"
        "from shmflink.core.serialization.codec import dumps_value\n"
        "class Point:\n"
        "    def __init__(self, x): self.x = x\n"
        "code = 'import sys; from shmflink.core.serialization.codec import loads_value as load; '\n"
        "code += 'print(load(sys.stdin.buffer.read()).x)'\n"
        "data = dumps_value(Point(7))\n"
        "run = subprocess.run([sys.executable, '-c', code], input=data, capture_output=True, check=True)\n"
        "print(run.stdout.decode().strip())\n"
    )
    run = subprocess.run([sys.executable, str(job)], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "7"
