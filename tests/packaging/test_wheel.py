"""The wheel contains the package and nothing else."""

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


@pytest.mark.long
@pytest.mark.parametrize("folder", ["examples", "configs"])
def test_examples_and_configs_are_inside(wheel: zipfile.ZipFile, folder: str) -> None:
    """The systemd unit and the sample of options are in configs."""
    shipped = {name for name in wheel.namelist() if name.startswith(f"shmflink/{folder}/")}
    tracked = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shipped == {f"shmflink/{name}" for name in tracked.stdout.split()}


@pytest.mark.long
def test_the_installed_wheel_copies_its_examples(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    site, copies = tmp_path / "site", tmp_path / "copies"
    wheel.extractall(site)
    command = [sys.executable, "-P", "-c", "from shmflink.cli.main import main; main()", "examples", str(copies)]
    subprocess.run(command, check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)}, timeout=300)
    found = {str(path.relative_to(copies)) for path in copies.rglob("*") if path.is_file()}
    assert {"word_count.py", "README.md", "configs/shmflink.yaml", "configs/shmflink@.service"} <= found
