"""pandas is imported by programs that use it, not by pyarrow for all others.

pyarrow imports pandas, where it is installed, when it makes its first scalar or array of Python values, to know a
Series where it meets one (pyarrow 26.0.1, `pandas-shim.pxi`). That takes longer than the rest of a process's start.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from functools import cache
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

import pyarrow as pa

__all__ = ["keep_pandas_out"]

_PANDAS: Final = "pandas"


@cache
def keep_pandas_out() -> None:
    """Has pyarrow take pandas for absent until somebody imports it; from then on pyarrow knows its classes as ever.

    Called by every process before it makes values: by programs where they get their environment, by the JobManager for
    all TaskManagers. Only the first call of a process has an effect. What asks pyarrow for pandas by name (`to_pandas`,
    `from_pandas`) imports it then. Does nothing where pandas is imported already.
    """
    if _PANDAS in sys.modules:
        return
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    pa.scalar(0)
    finder.hides_pandas = False


class _Finder(importlib.abc.MetaPathFinder):
    """Hides pandas first; then finds it once, by the finders behind it, and tells pyarrow when it is loaded."""

    hides_pandas = True

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _PANDAS:
            return None
        if self.hides_pandas:
            raise ModuleNotFoundError(_PANDAS)
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(_PANDAS)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """Another loader, behind which pyarrow meets what was loaded."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = module.__loader__ = self._loader  # code that asks for resources finds the real loader
        self._loader.exec_module(module)
        pa.Schema.from_pandas(module.DataFrame())
