"""The end of the command's process: does what Python does at exit, but does not tear down every imported module."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import sys
import threading
import weakref
from typing import NoReturn

from .streams import end_streams

__all__ = ["leave"]

_WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def leave(end: SystemExit) -> NoReturn:
    """Ends the process as `end` says, once everything that the program can notice has been done, in Python's order.

    That is: non-daemon threads are joined, functions registered with `atexit` run, objects of the program's modules are
    released and finalized, files that were left open are flushed. Then the system frees the rest.
    """
    if not (end.code is None or isinstance(end.code, int)):
        raise end  # a text: Python prints it
    code = end.code or 0
    end.__traceback__ = end.__context__ = None  # frames of the program
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - as Py_FinalizeEx does
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no public name for it
    _flush_files()  # before the collector ends a file ahead of the buffer that writes to it
    _finalize_modules_of_program()
    _flush_files()
    try:
        end_streams(end)
    except SystemExit as refused:
        code = 1 if refused.code else 0
    os._exit(code & 0xFF)


def _finalize_modules_of_program() -> None:
    """As Python does: names of a module are cleared only where something other than `sys.modules` holds the module.

    Functions that outlive their module (an audit hook, say) keep its names.
    """
    references = []
    for name in _modules_of_program():
        references.append(weakref.ref(sys.modules[name]))
        sys.modules[name] = None  # type: ignore[assignment]  # a later import fails, as at Python's exit
    gc.collect()  # not what was imported before the program: it is frozen
    for reference in reversed(references):
        module = reference()
        if module is not None:
            names = vars(module)
            names.update(dict.fromkeys(set(names) - {"__builtins__"}))
    gc.collect()


def _modules_of_program() -> list[str]:
    """The names of the program's file, and of modules that it imported from elsewhere than libraries."""
    library = os.path.dirname(os.__file__)
    packages = [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
    libraries = tuple(os.path.join(path, "") for path in (library, *packages))
    found = []
    for name, module in list(sys.modules.items()):
        if name == "__main__":
            is_of_program = getattr(module, "__spec__", None) is None
        else:
            file = getattr(module, "__file__", None)
            is_elsewhere = isinstance(file, str) and not file.startswith(libraries)
            is_of_program = is_elsewhere and name.partition(".")[0] != "shmflink"
        if is_of_program:
            found.append(name)
    return found


def _flush_files() -> None:
    for each in gc.get_objects():
        if type(each) in _WRITERS:
            with contextlib.suppress(OSError, ValueError):  # closed, or its reader is gone
                each.flush()
