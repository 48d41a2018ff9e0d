"""Slow functions in real processes: checkpoints complete, results arrive, a restarted job resumes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

WATCHDOG_SECONDS = 240
COMMAND = [sys.executable, "-c", "from shmflink.cli.entry import main; main()"]

JOB = '''
import hashlib
import os
import sys

from shmflink.common import Configuration, WatermarkStrategy
from shmflink.datastream import MapFunction, StreamExecutionEnvironment
from shmflink.datastream.connectors.number_seq import NumberSequenceSource

EDGE, UNALIGNED, FAILED = sys.argv[1:]
LAST = 20_000


class CallSomebody(MapFunction):
    """Works hard until it fails, once, when a checkpoint is complete that began in the middle of a batch."""

    def map(self, number):
        if not os.path.exists(FAILED):
            hashlib.pbkdf2_hmac("sha256", b"number", b"salt", 2000)  # about a millisecond
        return number

    def notify_checkpoint_complete(self, checkpoint_id):
        try:
            open(FAILED, "x").close()
        except FileExistsError:
            return
        raise ValueError("planned")


options = Configuration()
options.set_string("execution.checkpointing.interval", "200 ms")
options.set_string("execution.checkpointing.unaligned.enabled", UNALIGNED)
options.set_string("restart-strategy.type", "fixed-delay")
options.set_string("restart-strategy.fixed-delay.delay", "0 s")
options.set_string("restart-strategy.fixed-delay.attempts", "1")
env = StreamExecutionEnvironment.get_execution_environment(options)
env.set_parallelism(1)
numbers = env.from_source(NumberSequenceSource(0, LAST), WatermarkStrategy.no_watermarks(), "numbers")
if EDGE == "exchange":
    numbers = numbers.rebalance()
total = numbers.map(CallSomebody()).key_by(lambda n: 0).reduce(lambda a, b: a + b)
total.filter(lambda n: n == LAST * (LAST + 1) // 2).map(lambda n: f"total {n}").print()
env.execute("slow")
'''


@pytest.mark.parametrize("edge", ["chain", "exchange"])
@pytest.mark.parametrize("unaligned", ["false", "true"])
def test_a_checkpoint_completes_within_a_batch_and_the_rest_of_it_comes_once(tmp_path: Path, edge, unaligned):
    """[C21] Without it the function would fail only after the whole batch, at a checkpoint with nothing in flight."""
    job, failed = tmp_path / "slow.py", tmp_path / "failed"
    job.write_text(JOB)
    done = subprocess.run(
        [sys.executable, str(job), edge, unaligned, str(failed)],
        capture_output=True,
        text=True,
        timeout=WATCHDOG_SECONDS,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert failed.exists()
    assert re.findall(r"total (\d+)", done.stdout) == ["200010000"]


WAITING_JOB = """
import sys

from shmflink.common import WatermarkStrategy
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.number_seq import NumberSequenceSource

ANSWER = sys.argv[1]


def ask(number):
    if number == 5:
        with open(ANSWER) as answer:
            answer.read()
    return number


env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
numbers = env.from_source(NumberSequenceSource(0, 2_000_000), WatermarkStrategy.no_watermarks(), "numbers")
numbers.map(ask).name("enrich").map(str).print()
env.execute("asks")
"""


@pytest.mark.parametrize("verb", ["savepoint", "checkpoint", "stop", "stop --drain"])
def test_who_waits_behind_a_slow_function_is_told_which_one_it_is(tmp_path: Path, verb):
    """The function waits at a pipe, so that only the test says when it comes back."""
    job, answer = tmp_path / "asks.py", tmp_path / "answer"
    job.write_text(WAITING_JOB)
    os.mkfifo(answer)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    ran = subprocess.Popen(
        [*COMMAND, "run", "--slots", "1", "-D", f"execution.checkpointing.dir=file://{tmp_path}/c",
         "-D", f"execution.checkpointing.savepoint-dir=file://{tmp_path}/s", str(job), str(answer)],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with ran:
        try:
            function = os.open(answer, os.O_WRONLY)  # returns when the function has opened the other end
            name, *options = verb.split()
            asked = subprocess.Popen(
                [*COMMAND, name, "asks", *options],
                env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            with asked:
                told = next(line for line in asked.stderr if "asks.py" in line)
                os.close(function)
                out, error = asked.communicate(timeout=WATCHDOG_SECONDS)
                assert asked.returncode == 0, out + error
        finally:
            ran.kill()
    where = r"'.*enrich.*' \(1/1\), in one call of user code for \d+ s: asks\.py:\d+ in ask\n"
    assert re.fullmatch(rf"still waiting after \d+ s: .*: {where}", told), told
    assert ("drains" in told) is ("--drain" in verb)
