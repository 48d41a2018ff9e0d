"""What a job's functions need besides the program: modules, requirements, archives (Flink: `python.files` and similar).

All processes are on one host and run one interpreter. Therefore files are used in place. Requirements are installed and
archives are unpacked into the user's cache folder, once per content, and every process finds them there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace

from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import ConfigurationError

__all__ = ["PythonDependencies", "check_executable", "import_root"]

_PIP_LINES = 15  # of pip's output, in the error


@dataclass(frozen=True, slots=True)
class PythonDependencies:
    """`requirements`: a file, and a folder with packages or an empty text. `archives`: pairs of file and target."""

    files: tuple[str, ...] = ()
    requirements: tuple[str, str] | None = None
    archives: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def configured(files: str | None, requirements: str | None, archives: str | None) -> PythonDependencies:
        """Parses the options: `a.py,b.zip`; `requirements.txt#folder`; `data.zip#data,venv.tar.gz`."""
        made = PythonDependencies()
        for path in _parts(files):
            made = made.with_file(path)
        for path in _parts(archives):
            archive, _, target = path.partition("#")
            made = made.with_archive(archive, target)
        if requirements:
            file, _, folder = requirements.partition("#")
            made = made.with_requirements(file, folder)
        return made

    def with_file(self, path: str) -> PythonDependencies:
        """Adds a module, package folder or zip archive to import from."""
        return replace(self, files=(*self.files, _there(path, "python file")))

    def with_requirements(self, file: str, folder: str) -> PythonDependencies:
        """Sets the requirements for pip; if `folder` is given, pip installs only from the packages in it."""
        return replace(self, requirements=(_there(file, "requirements file"), folder and _there(folder, "folder")))

    def with_archive(self, archive: str, target: str) -> PythonDependencies:
        """Adds an archive, unpacked to the folder `target` (by default the archive's name) in the functions' working
        directory.
        """
        target = target or os.path.basename(archive)
        if os.path.isabs(target) or ".." in target.split("/"):
            raise ConfigurationError(f"archive {archive}: cannot unpack it to {target!r}; give a relative path")
        return replace(self, archives=(*self.archives, (_there(archive, "archive"), target)))

    def and_those(self, other: PythonDependencies) -> PythonDependencies:
        """Merges both; the requirements are those of `other` if it has any."""
        return PythonDependencies(
            (*self.files, *other.files), other.requirements or self.requirements, (*self.archives, *other.archives)
        )

    def import_paths(self) -> list[str]:
        """Installs the requirements if necessary; returns what to put at the front of `sys.path`.

        Raises:
            ConfigurationError: pip failed.
        """
        found = [] if self.requirements is None else [_installed(*self.requirements)]
        return [*found, *map(import_root, self.files)]

    def working_directory(self) -> str | None:
        """A read-only folder with the archives in it; None without archives.

        Raises:
            ConfigurationError: a file is neither a zip nor a tar archive.
        """
        import hashlib

        if not self.archives:
            return None
        digest = hashlib.sha256()
        for archive, target in self.archives:
            digest.update(f"{target}\0".encode() + _digest(archive))

        def unpack(folder: str) -> None:
            for archive, target in self.archives:
                _unpack(archive, os.path.join(folder, target))

        return _cached("archives", digest.hexdigest(), unpack)


def check_executable(path: str) -> None:
    """Raises ConfigurationError if `path` is not the Python that runs the program."""
    import shutil

    found = shutil.which(path)
    if found is None or os.path.realpath(found) != os.path.realpath(sys.executable):
        raise ConfigurationError(
            f"python executable {path}: functions run in the Python that runs the program, {sys.executable}; start the "
            "program with {path}, or remove the option"
        )


def import_root(path: str) -> str:
    """The entry of `sys.path` for a path given by the user: a module's folder, or the folder or archive itself."""
    path = os.path.abspath(path)
    return os.path.dirname(path) if path.endswith(".py") else path


def _parts(text: str | None) -> Iterable[str]:
    return filter(None, (part.strip() for part in (text or "").split(",")))


def _there(path: str, what: str) -> str:
    path = os.path.abspath(path.removeprefix("file://"))
    if not os.path.exists(path):
        raise ConfigurationError(f"{what}: there is no '{path}'")
    return path


def _installed(file: str, folder: str) -> str:
    """The folder in which the requirements are installed."""
    import hashlib
    import subprocess

    listing = "\n".join(sorted(os.listdir(folder))) if folder else ""
    key = hashlib.sha256(_digest(file) + f"{folder}\0{listing}\0{sys.version}".encode()).hexdigest()

    def install(target: str) -> None:
        source = ["--no-index", "--find-links", folder] if folder else []
        command = [sys.executable, "-m", "pip", "install", "-q", "--target", target, "-r", file, *source]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  the user asked for it
        if done.returncode:
            said = "\n".join(done.stderr.strip().splitlines()[-_PIP_LINES:])
            raise ConfigurationError(f"cannot install the requirements of {file}; pip says:\n{said}")

    return _cached("requirements", key, install)


def _unpack(archive: str, target: str) -> None:
    import tarfile  # imported here: few programs have archives, but all would pay for the imports
    import zipfile

    os.makedirs(target, exist_ok=True)
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for item in file.infolist():
                path = file.extract(item, target)  # refuses members that would land outside the folder
                mode = item.external_attr >> 16 & 0o777
                if mode and not item.is_dir():
                    os.chmod(path, mode | 0o400)  # keeps the executable bit
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as file:
            file.extractall(target, filter="data")
    else:
        raise ConfigurationError(f"archive {archive}: neither a zip nor a tar archive")


def _cached(kind: str, key: str, fill: Callable[[str], None]) -> str:
    """A folder for this content, filled once. It appears complete even if several processes fill it concurrently."""
    import shutil
    import tempfile

    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = os.path.join(cache, "shmflink", kind, key[:32])
    if os.path.isdir(folder):
        return folder
    os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
    filling = tempfile.mkdtemp(dir=os.path.dirname(folder))
    try:
        fill(filling)
        os.rename(filling, folder)
    except OSError:
        if not os.path.isdir(folder):  # otherwise another process was faster
            raise
    finally:
        shutil.rmtree(filling, ignore_errors=True)
    return folder


def _digest(path: str) -> bytes:
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
