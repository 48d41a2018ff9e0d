"""An environment whose executor runs nothing: tests look at the graphs it was given."""

from __future__ import annotations

import pytest
from oracle.recorder import Recorder

from shmflink.datastream import StreamExecutionEnvironment, environment


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(environment, "current_executor", lambda: recorder)
    return recorder


@pytest.fixture
def env(executor: Recorder) -> StreamExecutionEnvironment:
    return StreamExecutionEnvironment.get_execution_environment()
