"""Every option is declared once, documented, and checked."""

from __future__ import annotations

import pytest

from shmflink.config import flink_options, options
from shmflink.config.options import OPTIONS, validate
from shmflink.errors import ConfigurationError


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.key)
def test_every_default_reads_back(option):
    assert option.read({}) == option.default
    if option.default is not None:
        assert option.parse(option.write(option.default)) == option.default


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.key)
def test_a_misspelt_key_names_the_right_one(option):
    with pytest.raises(ConfigurationError, match="did you mean") as caught:
        validate({option.key + "x": "1"}, "-D")
    assert option.key in str(caught.value)


def test_a_key_like_no_other_says_where_all_are_listed():
    with pytest.raises(ConfigurationError, match=r"job\.yaml: unknown option 'zzz'; configs/shmflink\.yaml lists"):
        validate({"zzz": "1"}, "job.yaml")


def test_a_wrong_value_says_what_is_accepted():
    with pytest.raises(ConfigurationError, match=r"heartbeat\.timeout: 'soon' is not a valid duration"):
        validate({"heartbeat.timeout": "soon"}, "-D")
    with pytest.raises(ConfigurationError, match="below the minimum 1"):
        validate({"parallelism.default": "0"}, "-D")
    with pytest.raises(ConfigurationError, match="above the maximum 32768"):
        validate({"pipeline.max-parallelism": "32769"}, "-D")
    with pytest.raises(ConfigurationError, match="STREAMING, BATCH, AUTOMATIC"):
        validate({"execution.runtime-mode": "FAST"}, "-D")


def test_options_that_contradict_each_other():
    with pytest.raises(ConfigurationError, match=r"heartbeat\.timeout \(1500 ms\) must be at least twice"):
        validate({"heartbeat.timeout": "1500 ms"}, "-D")


def test_an_option_is_read_as_its_type():
    """The annotations are what mypy checks: the value's type follows from the option, without a cast."""
    parallelism: int | None = options.DEFAULT_PARALLELISM.read({"parallelism.default": " 4 "})
    interval_ms: int = options.AUTO_WATERMARK_INTERVAL.read({"pipeline.auto-watermark-interval": "2 s"})
    is_reusing: bool = options.OBJECT_REUSE.read({"pipeline.object-reuse": "TRUE"})
    parameters: dict[str, str] | None = options.GLOBAL_JOB_PARAMETERS.read({"pipeline.global-job-parameters": "a:b"})
    mode: str = options.RUNTIME_MODE.read({})
    assert (parallelism, interval_ms, is_reusing, parameters, mode) == (4, 2000, True, {"a": "b"}, "STREAMING")
    assert options.SEGMENT_SIZE.read({options.SEGMENT_SIZE.key: "64 kb"}) == 64 << 10
    assert options.GLOBAL_JOB_PARAMETERS.write({"a": "b", "c": "d"}) == "a:b,c:d"


def test_choices_in_any_case_and_old_keys():
    assert options.RUNTIME_MODE.read({"execution.runtime-mode": "batch"}) == "BATCH"
    assert options.BUFFER_TIMEOUT.read({"execution.buffer-timeout": "7 ms"}) == 7
    validate({"execution.buffer-timeout": "7 ms"}, "-D")


def test_what_tunes_pyflinks_bridge_is_accepted_and_said():
    validate({"python.fn-execution.bundle.size": "1000"}, "job")


def test_options_of_flink_for_parts_that_are_not_here_are_noted_once(caplog):
    settings = {
        "taskmanager.memory.process.size": "4 gb",
        "jobmanager.memory.process.size": "1 gb",
        "pipeline.jars": "file:///a.jar",
        "rest.address": "localhost",
        "python.client.executable": "python3",
        "pekko.ask.timeout": "20 s",
        "state.changelog.enabled": "true",
    }
    flink_options._noted.clear()
    validate(settings, "flink-conf.yaml")
    validate(settings, "flink-conf.yaml")
    (note,) = caplog.messages
    assert note.startswith("flink-conf.yaml: options of Flink that have no effect here: ")
    assert all(key in note for key in settings)
    assert "pipeline.jars (there is no JVM)" in note


@pytest.mark.parametrize("key", ["taskmanager.memory.segment-sizes", "rest", "s3x.endpoint", "metrics.reporters"])
def test_what_is_not_flinks_or_only_misspelt_is_still_an_error(key):
    with pytest.raises(ConfigurationError, match=f"unknown option '{key}'"):
        validate({key: "1"}, "-D")


@pytest.mark.parametrize(
    ("key", "value", "instead"),
    [
        ("python.pythonpath", "/modules", "add modules and folders with python.files"),
        ("python.operator-chaining.enabled", "false", "set pipeline.operator-chaining.enabled to false"),
    ],
)
def test_options_of_pyflink_with_another_name_here_say_which(key, value, instead):
    with pytest.raises(ConfigurationError, match=f"{key} = '{value}' is not supported: .*{instead}"):
        validate({key: value}, "-D")


def test_chaining_that_is_on_asks_for_nothing():
    validate({"python.operator-chaining.enabled": "true"}, "-D")
