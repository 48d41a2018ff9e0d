"""Prevents pyarrow from importing pandas in programs that do not use it.

If pandas is installed, pyarrow imports it when it creates its first scalar or array from Python values, in order to
recognize a Series (pyarrow 26.0.1, `pandas-shim.pxi`). That takes longer than the rest of a process's start.
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
    """Makes pyarrow treat pandas as absent until a program imports it; from then on pyarrow recognizes its classes.

    Every process calls it before it creates values: programs when they create their environment, the JobManager for all
    TaskManagers. Only the first call in a process has an effect. Functions that request pandas explicitly (`to_pandas`,
    `from_pandas`) import it. Does nothing if pandas is already imported.
    """
    if _PANDAS in sys.modules:
        return
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    pa.scalar(0)
    finder.hides_pandas = False


class _Finder(importlib.abc.MetaPathFinder):
    """First hides pandas; then finds it once, with the later finders, and notifies pyarrow when it is loaded."""

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
    """Wraps a loader, to notify pyarrow after loading."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = module.__loader__ = self._loader  # code that requests resources gets the real loader
        self._loader.exec_module(module)
        pa.Schema.from_pandas(module.DataFrame())
