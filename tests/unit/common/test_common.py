"""`shmflink.common` has PyFlink's names."""

import importlib

import pytest

import shmflink.common as common
from shmflink.common import Encoder, JobStatus, Types
from shmflink.common.serialization import ByteArraySchema, SimpleStringSchema
from shmflink.errors import TypeMismatchError

PYFLINK_NAMES = {
    "Configuration", "ConfigOption", "ConfigOptions", "ExecutionConfig", "TypeInformation", "Types",
    "SerializationSchema", "DeserializationSchema", "SimpleStringSchema", "ByteArraySchema", "Encoder",
    "CompletableFuture", "JobClient", "JobExecutionResult", "JobID", "JobStatus", "Row", "RowKind",
    "WatermarkStrategy", "Duration", "Instant", "Time", "RestartStrategies", "RestartStrategyConfiguration",
    "InputDependencyConstraint", "TypeSerializer",
}  # fmt: skip


def test_the_names_of_pyflink() -> None:
    assert set(common.__all__) == PYFLINK_NAMES


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("types", "Row"),
        ("typeinfo", "RowTypeInfo"),
        ("typeinfo", "BasicTypeInfo"),
        ("time", "Duration"),
        ("job_status", "JobStatus"),
        ("job_id", "JobID"),
        ("job_client", "JobClient"),
        ("job_execution_result", "JobExecutionResult"),
        ("completable_future", "CompletableFuture"),
        ("configuration", "Configuration"),
        ("config_options", "ConfigOptions"),
        ("execution_config", "ExecutionConfig"),
        ("serialization", "Encoder"),
        ("watermark_strategy", "WatermarkStrategy"),
    ],
)
def test_the_modules_of_pyflink(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(f"shmflink.common.{module}"), name)


def test_terminal_states() -> None:
    assert JobStatus.FINISHED.is_globally_terminal_state()
    assert not JobStatus.SUSPENDED.is_globally_terminal_state()
    assert JobStatus.SUSPENDED.is_terminal_state()
    assert not JobStatus.RUNNING.is_terminal_state()


def test_schemas() -> None:
    schema = SimpleStringSchema("latin-1")
    assert schema.serialize("ü") == b"\xfc"
    assert schema.deserialize(b"\xfc") == "ü"
    assert ByteArraySchema().deserialize(ByteArraySchema().serialize(b"x")) == b"x"
    with pytest.raises(TypeMismatchError, match="takes strings, got int: 1"):
        schema.serialize(1)
    with pytest.raises(TypeMismatchError, match="takes bytes"):
        ByteArraySchema().serialize("x")
    with pytest.raises(LookupError):
        SimpleStringSchema("nothing")
    assert Encoder.simple_string_encoder() is not None


def test_types_are_the_ones_of_the_core() -> None:
    assert repr(Types.TUPLE([Types.STRING(), Types.INT()])) == "TupleTypeInfo(String, Integer)"
