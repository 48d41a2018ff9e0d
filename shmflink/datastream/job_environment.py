"""What a job takes along from the process that built it: where its modules are found."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Mapping

from shmflink.graph.job_graph_builder import JobEnvironment

__all__ = ["job_environment", "main_file"]


def main_file() -> str:
    """Absolute path of the file that Python was started with; empty in an interactive session."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.abspath(path) if path else ""


def job_environment(configuration: Mapping[str, str], python_files: Iterable[str]) -> JobEnvironment:
    """Folder of the main file, files added by the program, what was added to `sys.path`; in this order."""
    main = main_file()
    candidates = [os.path.dirname(main)] if main else []
    candidates += [_import_root(path) for path in python_files]
    candidates += [os.path.abspath(path) for path in sys.path]
    installed = _installed_paths()
    wanted = dict.fromkeys(p for p in candidates if p not in installed and os.path.exists(p))
    return JobEnvironment(dict(configuration), tuple(wanted), os.getcwd(), main)


def _import_root(path: str) -> str:
    """What goes on `sys.path` for a path given by the user: a module's folder, a folder or archive itself."""
    path = os.path.abspath(path)
    return os.path.dirname(path) if path.endswith(".py") else path


def _installed_paths() -> frozenset[str]:
    """Where the interpreter looks anyway; workers run the same one."""
    paths = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), *site.getsitepackages()}
    paths |= {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages()}
    paths |= {os.path.join(sysconfig.get_path("platstdlib"), "lib-dynload")}
    return frozenset(os.path.abspath(path) for path in paths if path)
