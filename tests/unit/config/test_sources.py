"""Where settings come from: a file, then SHMFLINK_PROPERTIES, then the command line."""

from __future__ import annotations

import pytest

from shmflink.config.sources import Setting, gathered, shown_value
from shmflink.errors import ConfigurationError


def test_later_sources_win_and_each_value_knows_its_own(tmp_path):
    file = tmp_path / "shmflink.yaml"
    file.write_text("cluster: {slots: 1, name: a}\nparallelism.default: 1\n")
    found = gathered(str(file), "parallelism.default: 2\ncluster.name: b\n", [("cluster.name", "c")])
    assert found == {
        "cluster.slots": Setting("1", str(file)),
        "parallelism.default": Setting("2", "$SHMFLINK_PROPERTIES"),
        "cluster.name": Setting("c", "command line"),
    }


def test_a_former_key_on_the_command_line_wins_over_the_present_key_in_a_variable():
    found = gathered(None, "execution.buffer-timeout.interval: 1 s", [("execution.buffer-timeout", "2 s")])
    assert found == {"execution.buffer-timeout.interval": Setting("2 s", "command line")}
    both = "execution.buffer-timeout.interval: 1 s\nexecution.buffer-timeout: 2 s"
    with pytest.raises(ConfigurationError, match=r"is the former name of 'execution\.buffer-timeout\.interval'"):
        gathered(None, both, [])


def test_an_empty_variable_sets_nothing():
    assert gathered(None, " \n", []) == {}
    assert gathered(None, None, []) == {}


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ("cluster.slots: many", r"\$SHMFLINK_PROPERTIES|cluster.slots"),
        ("cluster.slotz: 1", "cluster.slots"),
        ("- 1", r"\$SHMFLINK_PROPERTIES: expected 'key: value' lines"),
        ("a: [", r"\$SHMFLINK_PROPERTIES is not valid YAML"),
    ],
)
def test_a_wrong_variable_is_told_by_its_name(properties, told):
    with pytest.raises(ConfigurationError, match=told):
        gathered(None, properties, [])


def test_secrets_are_not_shown():
    assert shown_value("some.password", "hush") == shown_value("rest.token-file", "/t") == "******"
    assert shown_value("cluster.name", "team") == "team"
