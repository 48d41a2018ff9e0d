"""Imports that are deferred to the first use, so that a program pays only for what it uses.

`pc`, `pq` and `arrow_fs` are `pyarrow.compute`, `pyarrow.parquet` and `pyarrow.fs`: they take as long to import
as the rest of pyarrow without numpy. A package whose names come from many modules provides them by `lazy_names`;
type checkers and editors see the imports under TYPE_CHECKING, and `tests/tidy` compares the two.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from pyarrow import fs as arrow_fs

__all__ = ["arrow_fs", "lazy_names", "pc", "pq"]


class _LazyModule(ModuleType):
    """A module that is imported when its first attribute is read; from then on its names are found here directly."""

    def __getattr__(self, name: str) -> Any:
        module = importlib.import_module(self.__name__)
        if self.__dict__.get("__file__") is None:
            self.__dict__.update(module.__dict__)
        return getattr(module, name)

    def __dir__(self) -> list[str]:
        return dir(importlib.import_module(self.__name__))


if not TYPE_CHECKING:
    pc = _LazyModule("pyarrow.compute")
    pq = _LazyModule("pyarrow.parquet")
    arrow_fs = _LazyModule("pyarrow.fs")


def lazy_names(
    package: str, modules: Mapping[str, tuple[str, ...]], otherwise: Callable[[str], Any]
) -> Callable[[str], Any]:
    """A `__getattr__` for a package: imports the module that has the name, and keeps it in the package.

    `modules`: names by module, the modules without `package.`; the modules themselves are found as well, as if the
    package had imported them. `otherwise` is asked for any other name.
    """
    where = {name: module for module, names in modules.items() for name in names}
    below = {module.partition(".")[0] for module in modules}

    def lookup(name: str) -> Any:
        if name in where:
            value = getattr(importlib.import_module(f"{package}.{where[name]}"), name)
        elif name in below:
            value = importlib.import_module(f"{package}.{name}")
        else:
            return otherwise(name)
        setattr(sys.modules[package], name, value)
        return value

    return lookup
