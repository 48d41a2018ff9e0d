"""PyFlink's names for a program that imports them: `pyflink.datastream` is the module `shmflink.datastream`.

`shmflink run --pyflink` puts the folder above on the program's path, in front of an installed PyFlink; JobManager and
TaskManagers take it over with the rest of the path. Functions, classes and errors are shmflink's own.
"""

from __future__ import annotations

import importlib
import sys
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

__all__: list[str] = []


class _SameModule(Loader):
    """Gives a module a second name, and leaves its first one as it is."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _Finder:
    @staticmethod
    def find_spec(name: str, *_: object) -> ModuleSpec | None:
        package, _dot, below = name.partition(".")
        if package != __name__ or find_spec(f"shmflink.{below}") is None:
            return None
        module = importlib.import_module(f"shmflink.{below}")
        return ModuleSpec(name, _SameModule(module), is_package=hasattr(module, "__path__"))


sys.meta_path.insert(0, _Finder)
