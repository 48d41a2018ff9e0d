"""`shmflink examples DIR`: copies the programs, the sample configuration and the systemd unit that shmflink ships."""

from __future__ import annotations

import filecmp
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import shmflink
from shmflink.errors import ResourceError

__all__ = ["copy_examples", "shipped_folder"]

_FOLDERS: Final = (("examples", "."), ("configs", "configs"))
_SUFFIXES: Final = (".py", ".md", ".yaml", ".service", ".txt")


def copy_examples(directory: Path) -> int:
    """Copies the files; returns the exit code. If a file exists with other content, copies nothing."""
    try:
        pairs = [pair for name, folder in _FOLDERS for pair in _copies(name, directory / folder)]
        if changed := [target for source, target in pairs if target.exists() and not _are_equal(source, target)]:
            sys.stderr.write(f"{changed[0]} exists with other content: name another folder, or remove the file\n")
            return 1
        for source, target in pairs:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    except (OSError, ResourceError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    programs = sorted(target for _, target in pairs if target.suffix == ".py")
    sys.stdout.write(f"{len(pairs)} files are now in {directory}. Run one: shmflink run {programs[-1]}\n")
    return 0


def shipped_folder(name: str) -> Path:
    """A folder that the wheel ships inside the package; in a checkout, it is beside the package.

    ResourceError if it is in neither place.
    """
    package = Path(os.path.abspath(shmflink.__file__)).parent
    for folder in (package / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise ResourceError(f"this installation of shmflink has no {name}: neither in {package} nor beside it")


def _copies(name: str, target: Path) -> Iterator[tuple[Path, Path]]:
    folder = shipped_folder(name)
    for source in sorted(folder.rglob("*")):
        if source.is_file() and source.suffix in _SUFFIXES:
            yield source, target / source.relative_to(folder)


def _are_equal(source: Path, target: Path) -> bool:
    return target.is_file() and filecmp.cmp(source, target, shallow=False)
