"""A type checker accepts correct programs of users and finds their errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("typed_program.py")
WRONG = """
from shmflink.common import Types
from shmflink.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from shmflink.datastream.state import ValueState, ValueStateDescriptor


class Count(KeyedProcessFunction):
    def open(self, runtime_context: RuntimeContext) -> None:
        self.count: ValueState[int] = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: str, ctx: KeyedProcessFunction.Context) -> None:
        self.count.update("one")
        ctx.timer_servce()


StreamExecutionEnvironment.get_execution_environment().set_parallelism("2")
"""


def _mypy(program: Path) -> subprocess.CompletedProcess[str]:
    """With the repository's own strict settings and cache: all of shmflink needs a minute without."""
    command = [sys.executable, "-m", "mypy", str(program)]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)


def test_a_type_checker_accepts_a_typed_program_and_finds_faults(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    checked = _mypy(PROGRAM)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (tmp_path / "wrong.py").write_text(WRONG)
    found = _mypy(tmp_path / "wrong.py").stdout
    for fault in (
        'Argument 1 to "update" of "ValueState" has incompatible type "str"; expected "int"',
        'has no attribute "timer_servce"',
        'Argument 1 to "set_parallelism" of "Environment" has incompatible type "str"; expected "int"',
    ):
        assert fault in found, found


def test_the_typed_program_runs() -> None:
    pytest.importorskip("polars")
    ran = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "[<Row('a', 0.0)>]" in ran.stdout
