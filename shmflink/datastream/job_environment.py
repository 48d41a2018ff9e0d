"""What a job inherits from the process that built it: where its modules are found."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Mapping
from typing import TYPE_CHECKING

from shmflink.graph.job_graph_builder import JobEnvironment

if TYPE_CHECKING:
    from shmflink.datastream.python_dependencies import PythonDependencies

__all__ = ["job_environment", "main_file"]


def main_file() -> str:
    """Absolute path of the file that Python was started with; empty in an interactive session."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.abspath(path) if path else ""


def job_environment(configuration: Mapping[str, str], dependencies: PythonDependencies) -> JobEnvironment:
    """The job's own dependencies, the folder of the main file, additions to `sys.path`; in this order.

    Functions run in the program's working directory, or in the folder of its unpacked archives.
    """
    main = main_file()
    candidates = [*dependencies.import_paths(), *([os.path.dirname(main)] if main else [])]
    candidates += [os.path.abspath(path) for path in sys.path]
    installed = _installed_paths()
    wanted = dict.fromkeys(p for p in candidates if p not in installed and os.path.exists(p))
    return JobEnvironment(dict(configuration), tuple(wanted), dependencies.working_directory() or os.getcwd(), main)


def _installed_paths() -> frozenset[str]:
    """The interpreter's own search path; workers run the same interpreter."""
    paths = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), *site.getsitepackages()}
    paths |= {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages()}
    paths |= {os.path.join(sysconfig.get_path("platstdlib"), "lib-dynload")}
    return frozenset(os.path.abspath(path) for path in paths if path)
