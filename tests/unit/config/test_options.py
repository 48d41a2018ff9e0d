"""Every option is declared once, documented, and checked."""

from __future__ import annotations

import pytest

from shmflink.config import options
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


def test_choices_in_any_case_and_old_keys():
    assert options.RUNTIME_MODE.read({"execution.runtime-mode": "batch"}) == "BATCH"
    assert options.BUFFER_TIMEOUT.read({"execution.buffer-timeout": "7 ms"}) == 7
    validate({"execution.buffer-timeout": "7 ms"}, "-D")


def test_what_tunes_pyflinks_bridge_is_accepted_and_said():
    validate({"python.fn-execution.bundle.size": "1000"}, "job")
