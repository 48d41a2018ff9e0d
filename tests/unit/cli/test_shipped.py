"""`shmflink examples`, `options` and `--version`."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from shmflink import __version__
from shmflink.cli.main import app
from shmflink.cli.shipped import shipped_folder
from shmflink.config.options import OPTIONS

ROOT = Path(__file__).resolve().parents[3]


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("words", ["--version", "version"])
def test_the_version(words):
    assert run(words) == (0, f"shmflink {__version__}\n", "")


def test_every_option_is_printed_with_type_default_and_description():
    code, out, _ = run("options")
    assert code == 0
    keys = [line for line in out.splitlines() if line and not line.startswith(" ")]
    assert keys == list(OPTIONS)
    at = out.splitlines().index("parallelism.default")
    assert out.splitlines()[at + 1].startswith("    integer (at least 1), default: ")
    assert out.splitlines()[at + 2].startswith("    ")


def test_options_as_json_and_by_words():
    code, out, _ = run("options", "--json", "checkpointing", "interval")
    found = {one["key"]: one for one in orjson.loads(out)}
    assert code == 0
    assert found["execution.checkpointing.interval"]["type"] == "duration"
    assert set(found) < set(OPTIONS)
    assert set(found["execution.checkpointing.interval"]) == {
        "key", "type", "default", "description", "minimum", "maximum", "choices", "deprecated_keys",
    }  # fmt: skip


def test_a_word_that_no_option_has():
    assert run("options", "nonsense-of-nobody") == (
        1,
        "",
        "no option has nonsense-of-nobody in its key or description\n",
    )


def test_examples_are_copied_with_the_sample_of_options_and_the_unit(tmp_path):
    code, out, _ = run("examples", str(tmp_path / "new/folder"))
    assert code == 0
    copies = {str(p.relative_to(tmp_path / "new" / "folder")) for p in (tmp_path / "new").rglob("*") if p.is_file()}
    shipped = {
        "word_count.py",
        "README.md",
        "guides/functions.md",
        "configs/shmflink.yaml",
        "configs/shmflink@.service",
    }
    assert shipped <= copies
    for name in copies:
        source = ROOT / name if name.startswith("configs/") else ROOT / "examples" / name
        assert (tmp_path / "new" / "folder" / name).read_bytes() == source.read_bytes()
    assert "Run one: shmflink run " in out
    assert run("examples", str(tmp_path / "new" / "folder"))[0] == 0, "once more changes nothing"


def test_a_file_of_the_users_is_not_overwritten(tmp_path):
    mine = tmp_path / "word_count.py"
    mine.write_text("mine")
    code, _, error = run("examples", str(tmp_path))
    assert (code, error) == (1, f"{mine} exists with other content: name another folder, or remove the file\n")
    assert mine.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["word_count.py"], "nothing was copied"


def test_the_folders_are_found_beside_the_package_of_a_checkout():
    assert (shipped_folder("configs") / "shmflink@.service").is_file()
