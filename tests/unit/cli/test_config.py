"""`shmflink config`, `doctor`, `completion`: what they print."""

from __future__ import annotations

import json
import resource

import pytest

from shmflink.cli.completion import show_completion
from shmflink.cli.config import show_config
from shmflink.cli.doctor import run_doctor
from shmflink.config.options import OPTIONS
from shmflink.config.sources import Setting

SET = {"cluster.slots": Setting("4", "/etc/shmflink.yaml"), "rest.token-file": Setting("/secret", "command line")}


def test_every_option_has_its_value_and_source(capsys):
    assert show_config(SET, (), only_set=False, as_json=True) == 0
    found = {one["key"]: one for one in json.loads(capsys.readouterr().out)}
    assert found.keys() == OPTIONS.keys()
    assert found["cluster.slots"] == {
        "key": "cluster.slots",
        "type": "integer",
        "default": None,
        "value": "4",
        "source": "/etc/shmflink.yaml",
    }
    assert found["rest.token-file"]["value"] == "******"
    assert found["cluster.name"]["source"] == "default"


def test_the_table_has_the_options_that_are_asked_for(capsys):
    assert show_config(SET, ("slots",), only_set=True, as_json=False) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["Key", "Type", "Default", "Value", "Source"],
        ["cluster.slots", "integer", "-", "4", "/etc/shmflink.yaml"],
    ]
    assert show_config({}, ("slotz",), only_set=False, as_json=False) == 1
    assert capsys.readouterr().err == "no option has slotz in its key\n"
    assert show_config({}, (), only_set=True, as_json=False) == 1
    assert capsys.readouterr().err == "no option is set\n"


def test_the_doctor_finds_what_a_cluster_needs(capsys):
    assert run_doctor(as_json=True) == 0
    found = {one["what"]: one for one in json.loads(capsys.readouterr().out)}
    assert {"kernel", "memfd", "pidfd", "CPUs", "memory", "descriptors", "control sockets"} <= found.keys()
    assert not any(one["fatal"] for one in found.values())


def test_the_doctor_tells_what_would_go_wrong(capsys, monkeypatch):

    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    assert run_doctor(as_json=False) == 0
    told = capsys.readouterr().out
    assert "WARN  descriptors: at most 64\n" in told
    assert "raise the hard limit (ulimit -Hn, LimitNOFILE=)" in told
    assert "WARN  state folder: /dev/null/shmflink\n" in told


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(shell, capsys):
    assert show_completion(shell) == 0
    assert "_SHMFLINK_COMPLETE" in capsys.readouterr().out


def test_another_shell_is_refused(capsys):
    assert show_completion("tcsh") == 2
    assert capsys.readouterr().err == "unknown shell 'tcsh'; use bash, zsh, fish\n"
