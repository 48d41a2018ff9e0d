"""Functions that take their time, in real processes: checkpoints complete, results come, a restart goes on."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

WATCHDOG_SECONDS = 240

JOB = '''
import sys
import time

from shmflink.common import Configuration, WatermarkStrategy
from shmflink.datastream import MapFunction, StreamExecutionEnvironment
from shmflink.datastream.connectors.number_seq import NumberSequenceSource

EDGE, UNALIGNED, FAILED = sys.argv[1:]
LAST = 1500


class CallSomebody(MapFunction):
    """Fails once, when a checkpoint is complete that began in the middle of the batch."""

    def map(self, number):
        time.sleep(0.001)
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
    assert re.findall(r"total (\d+)", done.stdout) == ["1125750"]
