"""Configuration files."""

from __future__ import annotations

from pathlib import Path

import pytest

from shmflink.config.files import load_file, sample_file
from shmflink.config.options import OPTIONS
from shmflink.errors import ConfigurationError

_SAMPLE = Path(__file__).parents[3] / "configs" / "shmflink.yaml"


def _write(folder: Path, text: str) -> str:
    path = folder / "shmflink.yaml"
    path.write_text(text)
    return str(path)


def test_nested_and_dotted_keys_are_the_same(tmp_path):
    nested = "heartbeat:\n  interval: 500 ms\n  timeout: 5 s\nparallelism.default: 3\n"
    assert load_file(_write(tmp_path, nested)) == {
        "heartbeat.interval": "500 ms",
        "heartbeat.timeout": "5 s",
        "parallelism.default": "3",
    }


def test_a_map_below_an_option_is_its_value(tmp_path):
    text = "pipeline:\n  global-job-parameters:\n    a: 1\n    b: two\n  object-reuse: true\n"
    assert load_file(_write(tmp_path, text)) == {
        "pipeline.global-job-parameters": "a:1,b:two",
        "pipeline.object-reuse": "true",
    }


def test_an_empty_file_sets_nothing(tmp_path):
    assert load_file(_write(tmp_path, "# nothing\n")) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "expected 'key: value' lines"),
        ("a: [1\n", "not valid YAML"),
        ("parallelism.defaul: 3\n", "did you mean 'parallelism.default'"),
        ("heartbeat.timeout: 5 s\nheartbeat:\n  timeout: 6 s\n", "set twice"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_file(_write(tmp_path, text))
    assert "shmflink.yaml" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot read the configuration file"):
        load_file(str(tmp_path / "none.yaml"))


def test_the_sample_lists_every_option_as_declared(tmp_path):
    assert _SAMPLE.read_text() == sample_file(), "write it anew: config.files.sample_file()"
    uncommented = "\n".join(
        line.removeprefix("# ") for line in sample_file().splitlines() if line[2:].split(":")[0] in OPTIONS
    )
    with_defaults = {key: option.write(option.default) for key, option in OPTIONS.items() if option.default is not None}
    assert load_file(_write(tmp_path, uncommented)) == with_defaults
