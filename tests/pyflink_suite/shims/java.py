"""A gateway without a JVM: rows and configurations are ours, everything else excludes the test that asks for it."""

from __future__ import annotations

from typing import Any

from shmflink.common import Configuration, Row
from shmflink.datastream import StreamExecutionEnvironment
from tests.pyflink_suite.shims import Excluded


class JavaRow:
    """`org.apache.flink.types.Row`: fields by position, set one by one."""

    def __init__(self, arity: int) -> None:
        self.fields: list[Any] = [None] * arity

    def setField(self, index: int, value: Any) -> None:  # noqa: N802  Java's name
        self.fields[index] = value

    def to_python(self) -> Row:
        return Row(*[field.to_python() if isinstance(field, JavaRow) else field for field in self.fields])

    def equals(self, other: Any) -> bool:
        return _values(self.to_python()) == _values(other)


def _values(value: Any) -> Any:
    """Java's rows are equal whatever their fields are called."""
    return tuple(map(_values, value)) if isinstance(value, Row) else value


class JavaConfiguration:
    """`org.apache.flink.configuration.Configuration` over one of ours."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration

    def setString(self, key: str, value: str) -> None:  # noqa: N802  Java's name
        self.configuration.set_string(key, value)

    def getString(self, key: str, default: str = "") -> str:  # noqa: N802  Java's name
        return self.configuration.get_string(key, default)

    def removeKey(self, key: str) -> None:  # noqa: N802  Java's name
        self.configuration.remove_config(key)

    def __getattr__(self, name: str) -> Any:
        raise Excluded(f"JVM: Configuration.{name}")


class _Package:
    """`jvm.org.apache...`: a name that grows until it is that of something known, or is used."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __getattr__(self, name: str) -> Any:
        path = f"{self._path}.{name}"
        return JavaRow if path == "jvm.org.apache.flink.types.Row" else _Package(path)

    def __call__(self, *_: Any) -> Any:
        if self._path.endswith(".DummyInitializationContext"):
            return None
        raise Excluded(f"JVM: {self._path.removeprefix('jvm.')}")

    def __iter__(self) -> Any:
        raise Excluded(f"JVM: {self._path.removeprefix('jvm.')}")

    def __eq__(self, other: object) -> bool:
        raise Excluded(f"JVM: {self._path.removeprefix('jvm.')}")

    __hash__ = None  # type: ignore[assignment]  # see __eq__


class Gateway:
    jvm = _Package("jvm")


class _Environment:
    """What stands behind `env._j_stream_execution_environment`."""

    def __init__(self, environment: StreamExecutionEnvironment) -> None:
        self.environment = environment

    def __getattr__(self, name: str) -> Any:
        raise Excluded(f"JVM: StreamExecutionEnvironment.{name}")


class _Schema:
    """A (de)serialization schema under Java's names."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema

    def open(self, _: Any) -> None:
        self._schema.open(None)

    def serialize(self, element: Any) -> bytes:
        data: bytes = self._schema.serialize(element.to_python() if isinstance(element, JavaRow) else element)
        return data

    def deserialize(self, message: bytes) -> Any:
        return self._schema.deserialize(message)

    def equals(self, other: _Schema) -> bool:
        return bool(self._schema == other._schema)

    def hashCode(self) -> int:  # noqa: N802  Java's name
        return hash(self._schema)

    def getFieldIndex(self) -> int:  # noqa: N802  Java's name
        return int(self._schema.field_index)


def get_gateway() -> Gateway:
    return Gateway()


def get_j_env_configuration(environment: _Environment) -> JavaConfiguration:
    return JavaConfiguration(environment.environment._configuration)


def install() -> None:
    """Gives our classes the attributes behind which PyFlink keeps Java objects."""
    from shmflink.common.serialization import DeserializationSchema, SerializationSchema
    from shmflink.datastream.connectors import Sink, Source

    def init(
        self: Configuration, other: Configuration | None = None, j_configuration: JavaConfiguration | None = None
    ) -> None:
        inner(self, other)
        if j_configuration is not None:
            self._values = j_configuration.configuration._values

    inner = Configuration.__init__
    Configuration.__init__ = init  # type: ignore[method-assign,assignment]
    for owner, name, made in (
        (StreamExecutionEnvironment, "_j_stream_execution_environment", _Environment),
        (SerializationSchema, "_j_serialization_schema", _Schema),
        (DeserializationSchema, "_j_deserialization_schema", _Schema),
    ):
        setattr(owner, name, property(made))
    for owner in (Source, Sink):
        owner.get_java_function = lambda _: Gateway.jvm.get_java_function()  # type: ignore[attr-defined]


def __getattr__(name: str) -> Any:
    """Other helpers of `pyflink.util.java_utils` and `py4j`: there to be imported."""
    if name.startswith("__"):
        raise AttributeError(name)

    def excluded(*_: Any, **__: Any) -> Any:
        raise Excluded(f"JVM: {name}")

    return excluded
