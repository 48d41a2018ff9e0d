"""What a command is to run: the job file, its arguments and the configuration."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from shmflink import pyflink_names
from shmflink.core.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from shmflink.config.sources import Setting

__all__ = ["Invocation", "configured", "python_settings", "recovery_settings", "refused"]


def refused(text: str) -> Exception:
    """The error that ends the command with a message about its words and exit code 2."""
    import typer  # imported late: the import takes longer than parsing a plain command line

    return typer.BadParameter(text)


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of `run` or `info`. `configuration` holds validated texts by key."""

    file: str
    arguments: tuple[str, ...]
    configuration: Mapping[str, str]
    module: str | None = None

    @staticmethod
    def file_of(module: str, settings: Mapping[str, str]) -> str:
        """The file of a module, found like an import, with the `python.files` searched first.

        A missing module ends the command (exit code 2).
        """
        sys.path[:0] = _import_paths(settings)
        try:
            spec = importlib.util.find_spec(module)
        except ImportError:
            spec = None
        if spec is None or spec.origin is None or not os.path.isfile(spec.origin):
            raise refused(f"-pym {module}: there is no such module; use -pyfs to add places to search")
        return spec.origin

    @staticmethod
    def of(
        file: str | None,
        python: str | None,
        rest: Sequence[str],
        slots: int | None,
        parallelism: int | None,
        settings: Sequence[str] | None,
        config: Path | None,
        overrides: Mapping[str, str] | None = None,
        module: str | None = None,
    ) -> Invocation:
        """Assembles an invocation. An invalid part ends the command with a message and exit code 2 (usage)."""
        arguments = list(rest)
        if python is not None:
            if file is not None:
                arguments.insert(0, file)
            file = python
        if file is None:
            raise refused("which job? For example: shmflink run job.py")
        if not os.path.isfile(file):
            hint = " (put the job's own options after the file)" if file.startswith("-") else ""
            raise refused(f"there is no file '{file}'{hint}")
        configuration = _configuration(config, settings or ())
        if slots is not None:
            configuration["cluster.slots"] = str(slots)
        if parallelism is not None:
            configuration["parallelism.default"] = str(parallelism)
        configuration.update(overrides or {})
        return Invocation(os.path.abspath(file), tuple(arguments), configuration, module)

    def execute(self) -> None:
        """Runs the file as `python FILE ARGUMENTS` would, in this process; exceptions of the job propagate."""
        code = self._compiled()
        _collect_garbage_from_here()
        main = ModuleType("__main__")
        package = None if self.module is None else self.module.rpartition(".")[0]
        main.__dict__.update(
            {"__file__": self.file, "__builtins__": __builtins__, "__spec__": None, "__package__": package}
        )
        sys.modules["__main__"] = main
        sys.argv = [self.file, *self.arguments]
        if self.module is None:
            sys.path[:0] = [os.path.dirname(self.file), *_import_paths(self.configuration)]
        run: Callable[[CodeType, dict[str, Any]], None] = exec
        run(code, main.__dict__)

    def _compiled(self) -> CodeType:
        with open(self.file, "rb") as source:
            return compile(source.read(), self.file, "exec")


def target_settings(
    cluster: str | None, target: str | None, flink_python: str | None, *, shuts_down: bool = False
) -> dict[str, str]:
    """The options that `run -m CLUSTER -t TARGET --flink-python PATH -sae` set. An invalid one ends the command (exit
    code 2).
    """
    settings: dict[str, str] = {"execution.shutdown-on-attached-exit": "true"} if shuts_down else {}
    if target is not None:
        if target.upper() not in ("LOCAL", "REMOTE", "FLINK"):
            raise refused(f"-t {target}: unknown target; use local, remote or flink")
        settings["execution.target"] = target.upper()
    if cluster is not None and settings.get("execution.target") == "FLINK":
        if not cluster.rpartition(":")[2].isdigit():
            raise refused(f"-m {cluster}: with -t flink, give the host and port of the cluster's REST endpoint")
        settings["flink.address"] = cluster
    elif cluster is not None:
        if settings.get("execution.target") == "LOCAL":
            raise refused("-m selects a session cluster, -t local starts a new cluster: give only one of them")
        settings |= {"execution.target": "REMOTE", "cluster.name": cluster}
    if flink_python is not None:
        settings["flink.python"] = flink_python
    return settings


def cluster_configuration(
    config: Path | None, settings: Sequence[str] | None, name: str | None, slots: int | None = None
) -> dict[str, str]:
    """The configuration of a session cluster. An invalid part ends the command (exit code 2)."""
    configuration = _configuration(config, settings or ())
    if name is not None:
        configuration["cluster.name"] = name
    if slots is not None:
        configuration["cluster.slots"] = str(slots)
    return configuration


def recovery_settings(
    path: str | None, ignores_unclaimed: bool, trusts_pickled: bool, claim_mode: str | None
) -> dict[str, str]:
    """The options that `run -s PATH -n --trust-pickled-state -cm MODE` set. An invalid one ends the command (exit
    code 2).
    """
    settings: dict[str, str] = {}
    if path is not None:
        settings["execution.state-recovery.path"] = path if path.startswith("file:") else os.path.abspath(path)
    if ignores_unclaimed:
        settings["execution.state-recovery.ignore-unclaimed-state"] = "true"
    if trusts_pickled:
        settings["execution.state-recovery.trust-pickled-state"] = "true"
    if claim_mode is not None:
        if claim_mode.upper() not in ("CLAIM", "NO_CLAIM"):
            raise refused(f"--claim-mode {claim_mode}: expected claim or no_claim")
        settings["execution.state-recovery.claim-mode"] = claim_mode.upper()
    if settings and path is None:
        raise refused(
            "-n, --trust-pickled-state and --claim-mode apply to a job that starts from a savepoint: add -s PATH"
        )
    return settings


def python_settings(
    files: str | None, requirements: str | None, archives: str | None, executable: str | None, *, is_pyflink: bool
) -> dict[str, str]:
    """The options that `-pyfs -pyreq -pyarch -pyexec --pyflink` set."""
    if is_pyflink:
        files = ",".join(filter(None, (pyflink_names.folder(), files)))
    keys = ("python.files", "python.requirements", "python.archives", "python.executable")
    return {key: value for key, value in zip(keys, (files, requirements, archives, executable), strict=True) if value}


def _import_paths(settings: Mapping[str, str]) -> list[str]:
    """Makes the files of `python.files` importable in the program."""
    if "python.files" not in settings:
        return []
    from shmflink.datastream.python_dependencies import PythonDependencies
    from shmflink.errors import ConfigurationError

    try:
        return PythonDependencies.configured(settings["python.files"], None, None).import_paths()
    except ConfigurationError as error:
        raise refused(str(error)) from error


def _collect_garbage_from_here() -> None:
    """Imports what every job imports, with garbage collection off: it took a tenth of the client's CPU time."""
    importlib.import_module("shmflink.datastream.stream_execution_environment")
    gc.freeze()
    gc.enable()


def _configured_file() -> str | None:
    """`shmflink.yaml` in the folder of SHMFLINK_CONF_DIR; a folder that is named must contain one."""
    folder = os.environ.get("SHMFLINK_CONF_DIR")
    return os.path.join(folder, "shmflink.yaml") if folder else None


def _key_and_value(setting: str) -> tuple[str, str]:
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise refused(f"-D {setting}: expected KEY=VALUE")
    return key.strip(), value.strip()


def configured(config: Path | None, settings: Sequence[str]) -> dict[str, Setting]:
    """What is set, and where. `config`: a file, or a folder with shmflink.yaml. An invalid part ends the command."""
    from shmflink.config.sources import PROPERTIES_VARIABLE, gathered
    from shmflink.errors import ConfigurationError

    file = str(config / "shmflink.yaml" if config.is_dir() else config) if config is not None else _configured_file()
    try:
        return gathered(file, os.environ.get(PROPERTIES_VARIABLE), [_key_and_value(one) for one in settings])
    except ConfigurationError as error:
        raise refused(str(error)) from error


def _configuration(config: Path | None, settings: Sequence[str]) -> dict[str, str]:
    return {key: setting.text for key, setting in configured(config, settings).items()}
