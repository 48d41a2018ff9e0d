"""The program's functions as text that PyFlink can load: pickled by value, with shmflink's names for PyFlink's.

What a function captures travels with it: other functions and classes of the program and of modules beside it. Objects
of shmflink (types, tags, descriptors, rows) become calls of PyFlink's classes of the same names. `LOADER` is the part
of a written program that reads them; it runs in the interpreter of PyFlink, whose cloudpickle is older.
"""

from __future__ import annotations

import base64
import contextlib
import enum
import io
import sys
import sysconfig
from collections import ChainMap
from collections.abc import Callable, Iterator
from types import CodeType, ModuleType
from typing import Any, ClassVar, Final

import cloudpickle

from shmflink.core.row import Row, field_names_of
from shmflink.errors import JobGraphError
from shmflink.flinktarget.construction import construction_of

__all__ = ["LOADER", "code_in_file", "constructed", "member", "row_of", "shipped"]

LOADER: Final = '''
class _Loader(pickle.Unpickler):
    """Reads functions that shmflink wrote: its names stand for PyFlink's."""

    def find_class(self, module, name):
        if module.partition(".")[0] == "shmflink":
            return _OURS.get(name) or _named(name)
        if name == "subimport":
            return _module
        if module == "cloudpickle.cloudpickle" and not hasattr(cloudpickle.cloudpickle, name):
            module = "cloudpickle.cloudpickle_fast"
        return super().find_class(module, name)


def _module(name):
    return importlib.import_module("pyflink" + name[8:] if name.partition(".")[0] == "shmflink" else name)


def _named(name):
    first, *rest = name.split(".")
    for module in MODULES:
        if hasattr(module, first):
            return functools.reduce(getattr, rest, getattr(module, first))
    raise AttributeError(f"PyFlink has no {name}, which a function of this job uses")


def _constructed(name, *arguments):
    return _named(name)(*arguments)


def _row_of(kind, names, values):
    row = Row(*values)
    row.set_row_kind(RowKind(kind))
    if names:
        row.set_field_names(names)
    return row


def _code_in_file(make, arguments, filename):
    return make(*arguments).replace(co_filename=filename)


_OURS = {"constructed": _constructed, "member": _named, "row_of": _row_of, "code_in_file": _code_in_file}


def _load(text):
    return _Loader(io.BytesIO(base64.b64decode(text))).load()
'''


def constructed(name: str, *arguments: object) -> None:
    """Stands for PyFlink's object in pickled functions; never called here."""


def member(name: str) -> None:
    """Stands for a member of PyFlink's enumeration in pickled functions; never called here."""


def row_of(kind: int, names: list[str], values: list[Any]) -> None:
    """Stands for PyFlink's row in pickled functions; never called here."""


def code_in_file(make: Callable[..., CodeType], arguments: tuple[Any, ...], filename: str) -> None:
    """Stands for a function's code in pickled functions: tracebacks name the user's file. Never called here."""


def _reduce_code(code: CodeType) -> tuple[Any, ...]:
    make, arguments = cloudpickle.Pickler.dispatch_table[CodeType](code)[:2]
    return code_in_file, (make, arguments, code.co_filename)


def shipped(value: object, what: str) -> str:
    """The value as text for `_load` of a written program.

    Raises:
        JobGraphError: it captures something that cannot travel; says what, by the name `what`.
    """
    buffer = io.BytesIO()
    with _by_value():
        try:
            _Pickler(buffer).dump(value)
        except JobGraphError as error:
            raise JobGraphError(f"{what}: {error}") from None
        except Exception as error:
            raise JobGraphError(f"{what} cannot be written for PyFlink: {type(error).__name__}: {error}") from error
    return base64.b64encode(buffer.getvalue()).decode()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    dispatch_table: ClassVar[ChainMap[Any, Any]] = ChainMap(
        {CodeType: _reduce_code}, cloudpickle.Pickler.dispatch_table
    )

    def reducer_override(self, obj: Any) -> Any:
        made = construction_of(obj)
        if made is not None:
            return constructed, (made.name, *made.arguments)
        if type(obj) is Row:
            names = field_names_of(obj) or []
            return row_of, (obj.get_row_kind().value, names, list(obj))
        kind = type(obj)
        is_ours = kind.__module__.partition(".")[0] == "shmflink"
        if is_ours and isinstance(obj, enum.Enum):
            return member, (f"{kind.__qualname__}.{obj.name}",)
        if is_ours and not isinstance(obj, type):
            raise JobGraphError(
                f"it captures {obj!r:.80}, a {kind.__name__}, which cannot be written for PyFlink: make it in open()"
            )
        return super().reducer_override(obj)


@contextlib.contextmanager
def _by_value() -> Iterator[None]:
    """The program's own modules are not on the cluster: what functions use of them travels with them."""
    modules = [module for name, module in list(sys.modules.items()) if name != "__main__" and _is_own(module)]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def _is_own(module: ModuleType) -> bool:
    """Whether it belongs to the program: neither installed nor shmflink's nor Python's."""
    file = getattr(module, "__file__", None)
    if not file or module.__name__.partition(".")[0] == "shmflink":
        return False
    paths = sysconfig.get_paths()
    return not file.startswith(tuple(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")))
