"""The only access to pickle: user code by cloudpickle, records by pickle protocol 5.

Functions and classes of importable modules are pickled by reference (workers have the job file's folder on
`sys.path`); those of the job file itself (`__main__`), lambdas and local ones by value. Pass to the `loads_*` functions
only bytes from the cluster's own control plane or data plane: unpickling runs code.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import pickle
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any, ClassVar

import cloudpickle
import pyarrow as pa

from shmflink.core.serialization.captures import Captures, current_captures, shared_object
from shmflink.core.serialization.former_modules import present_module
from shmflink.core.serialization.plain_values import PlainValueError, dumps_plain, is_plain, loads_plain
from shmflink.errors import SerializationError

__all__ = [
    "dumps_function",
    "dumps_state",
    "dumps_value",
    "dumps_values",
    "loads_state",
    "loads_trusted",
    "loads_value",
    "loads_values",
]

_PROTOCOL = 5
_SEARCH_DEPTH_MAX = 6
_PICKLE_ERRORS = (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError, ImportError)


def _code_in_file(make: Callable[..., CodeType], arguments: tuple[Any, ...], filename: str) -> CodeType:
    return make(*arguments).replace(co_filename=filename)


def _reduce_code(code: CodeType) -> tuple[Any, ...]:
    make, arguments = cloudpickle.CloudPickler.dispatch_table[CodeType](code)[:2]
    return _code_in_file, (make, arguments, code.co_filename)


def _schema_of(image: bytes) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(image))


def _reduce_schema(schema: pa.Schema) -> tuple[Any, ...]:
    # As one image: column by column, ten thousand columns take a second.
    return _schema_of, (schema.serialize().to_pybytes(),)


class _ByValuePickler(cloudpickle.CloudPickler):  # type: ignore[misc]  # cloudpickle has no types
    """cloudpickle that keeps the file name of each code object.

    cloudpickle 3.1.3 and later replace it by `<dynamic-code>`, so that equal functions give equal bytes. Tracebacks,
    breakpoints and coverage of user functions then lose their file.
    """

    dispatch_table: ClassVar[ChainMap[Any, Any]] = ChainMap(
        {CodeType: _reduce_code, pa.Schema: _reduce_schema}, cloudpickle.CloudPickler.dispatch_table
    )


class _SharingPickler(_ByValuePickler):
    """For a job in this process: captured containers are the user's own objects."""

    def __init__(self, buffer: io.BytesIO, captures: Captures) -> None:
        super().__init__(buffer, protocol=_PROTOCOL)
        self._captures = captures

    def persistent_id(self, obj: Any) -> tuple[int, int] | None:
        return self._captures.reference(obj)


class _Unpickler(pickle.Unpickler):
    """Finds classes at their present place if their modules have been renamed since they were pickled."""

    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(present_module(module), name)


class _SharingUnpickler(_Unpickler):
    def persistent_load(self, pid: Any) -> Any:
        return shared_object(pid)


def _dumps_by_value(obj: Any) -> bytes:
    buffer = io.BytesIO()
    _ByValuePickler(buffer, protocol=_PROTOCOL).dump(obj)
    return buffer.getvalue()


def _dumps_shared(obj: Any, captures: Captures) -> bytes:
    buffer = io.BytesIO()
    _SharingPickler(buffer, captures).dump(obj)
    return buffer.getvalue()


def dumps_function(obj: Any, what: str) -> bytes:
    """Pickles user code (a function, an operator, an enumerator); `what` names it in the error.

    Raises:
        SerializationError: names the captured variable or attribute that cannot be pickled, if it can be
        found.
    """
    captures = current_captures()
    try:
        return _dumps_by_value(obj) if captures is None else _dumps_shared(obj, captures)
    except Exception as error:
        raise SerializationError(
            f"{what} cannot be sent to the workers: {_explain(obj) or error}. Create it in `open()` on the "
            f"worker, or do not let the function capture it. ({type(error).__name__}: {error})"
        ) from error


def loads_trusted(data: bytes | memoryview) -> Any:
    """Unpickles what `dumps_function` wrote in a process of this cluster.

    Raises:
        SerializationError: a module is missing on this side, or the classes differ.
    """
    try:
        return _SharingUnpickler(io.BytesIO(data)).load()
    except Exception as error:
        raise SerializationError(
            f"user code could not be loaded here: {type(error).__name__}: {error}. Modules that the job "
            "imports must be beside the job file or installed."
        ) from error


def dumps_value(value: Any) -> bytes:
    """Pickles one record.

    Raises:
        SerializationError: the record holds something that cannot be pickled.
    """
    try:
        data = pickle.dumps(value, _PROTOCOL)
        # By reference to the job file's module by name: the receiver's `__main__` is another module.
        if b"__main__" not in data:
            return data
    except _PICKLE_ERRORS:
        pass
    try:
        return _dumps_by_value(value)
    except Exception as error:
        raise SerializationError(
            f"the record {_shorten(value)} cannot be sent to another process: {_explain(value) or error}. "
            "Emit plain data (numbers, strings, tuples, lists, dicts, rows, dataclasses). "
            f"({type(error).__name__}: {error})"
        ) from error


def loads_value(data: bytes | memoryview) -> Any:
    """Unpickles one record that `dumps_value` wrote in a process of this cluster, or of an older release's."""
    try:
        return pickle.loads(data)  # noqa: S301  the one door; the caller vouches for the bytes
    except ModuleNotFoundError:
        return _Unpickler(io.BytesIO(data)).load()


def dumps_state(value: Any) -> bytes:
    """State for a checkpoint: in plain form if it has one, otherwise pickled.

    Raises:
        SerializationError: it holds something that cannot be pickled.
    """
    try:
        return dumps_plain(value)
    except PlainValueError:
        return dumps_value(value)


def loads_state(data: bytes | memoryview) -> Any:
    """Reads the output of `dumps_state`, or of `dumps_value` in an older release. The caller vouches for bytes that
    are pickled; `plain_values.is_plain` says whether they are.
    """
    return loads_plain(data) if is_plain(data) else loads_value(data)


def dumps_values(values: Iterable[Any]) -> list[bytes]:
    """Pickles records one by one, so that each can be sent separately."""
    return list(map(dumps_value, values))


def loads_values(data: Iterable[bytes | memoryview]) -> list[Any]:
    """Unpickles records that `dumps_values` made."""
    images = list(data)
    try:
        return list(map(pickle.loads, images))
    except ModuleNotFoundError:
        return list(map(loads_value, images))


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _explain(obj: Any) -> str:
    """Which part of `obj` cannot be pickled, as a phrase; empty if that cannot be determined."""
    names, objects = [""], [obj]
    for _ in range(_SEARCH_DEPTH_MAX):
        part = _failing_part(objects)
        if part is None:
            break
        names.append(part[0])
        objects.append(part[1])
    if len(objects) == 1:
        return ""
    # Reported from the innermost function, where the user has to look.
    functions = [i for i, item in enumerate(objects[:-1]) if isinstance(item, (FunctionType, MethodType))]
    holder = functions[-1] if functions else 0
    path = "".join(names[holder + 1 :]).removeprefix(".")
    kind = type(objects[-1])
    return f"{_describe(objects[holder])} captures `{path}` of type {kind.__module__}.{kind.__qualname__}"


def _failing_part(objects: list[Any]) -> tuple[str, Any] | None:
    seen = {id(item) for item in objects}
    parts = ((name, part) for name, part in _parts(objects[-1]) if id(part) not in seen)
    return next(((name, part) for name, part in parts if not _can_pickle(part)), None)


def _can_pickle(value: Any) -> bool:
    try:
        _dumps_by_value(value)
    except Exception:
        return False
    return True


def _describe(obj: Any) -> str:
    if isinstance(obj, MethodType):
        obj = obj.__func__
    if isinstance(obj, FunctionType):
        code = obj.__code__
        return f"the function `{obj.__name__}` ({os.path.basename(code.co_filename)}:{code.co_firstlineno})"
    return f"the {type(obj).__name__} object"


def _parts(obj: Any) -> Iterator[tuple[str, Any]]:
    """The objects that pickling `obj` would include, with the names by which the user knows them."""
    if isinstance(obj, MethodType):
        yield ".self", obj.__self__
    elif isinstance(obj, FunctionType):
        with contextlib.suppress(ValueError, TypeError):
            captured = inspect.getclosurevars(obj)
            yield from captured.nonlocals.items()
            yield from captured.globals.items()
        for default in obj.__defaults__ or ():
            yield "default argument", default
    elif isinstance(obj, dict):
        for key, value in obj.items():
            yield f"[{key!r}]", value
    elif isinstance(obj, (list, tuple, set, frozenset)):
        for index, value in enumerate(obj):
            yield f"[{index}]", value
    elif not isinstance(obj, type):
        for name, value in _attributes(obj):
            yield f".{name}", value


def _attributes(obj: Any) -> Iterator[tuple[str, Any]]:
    yield from getattr(obj, "__dict__", {}).items()
    for kind in type(obj).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(obj, name):
                yield name, getattr(obj, name)
