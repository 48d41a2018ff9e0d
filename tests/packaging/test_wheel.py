"""The wheel holds the package and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this checkout; compiled objects of an earlier build are used again."""
    pytest.importorskip("setuptools_rust", reason="the extra `dev` builds the wheel")
    folder = tmp_path_factory.mktemp("wheel")
    environment = {**os.environ, "CARGO_TARGET_DIR": str(ROOT / "shmflink" / "_native" / "target")}
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)],
        check=True,
        env=environment,
        timeout=900,
    )
    [path] = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.mark.long
def test_the_only_top_level_name_is_shmflink(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"shmflink"}


@pytest.mark.long
def test_the_native_module_uses_the_stable_abi(wheel: zipfile.ZipFile) -> None:
    native = [name for name in wheel.namelist() if name.endswith(".so")]
    assert native == ["shmflink/_core.abi3.so"]
    assert "-cp311-abi3-linux_" in str(wheel.filename)


@pytest.mark.long
def test_stub_marker_and_command_are_inside(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {"shmflink/_core.pyi", "shmflink/py.typed", "shmflink/cli/main.py"} <= names
