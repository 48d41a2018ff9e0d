"""Rows from sources to sinks without an exchange: each subtask fails over alone. Arguments: OUTPUT ROWS [ROWS_PER_S].

One of two pipelines ends long before the other, and in each the last split is longer than those before it: checkpoints
hold subtasks that have ended beside others that have not.
"""

import os
import sys

from shmflink.common import Encoder, Types
from shmflink.common.watermark_strategy import WatermarkStrategy
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink, RollingPolicy

SHARES = {"whole": 1, "third": 3}


def numbers(start, stop):
    return list(range(start, stop))


def main(output, rows, rate=None):
    env = StreamExecutionEnvironment.get_execution_environment()
    for name, share in SHARES.items():
        count = int(rows) // share
        source = GeneratorSource(numbers, count, Types.LONG(), batch_rows=300, rows_per_second=rate and float(rate))
        (
            env.from_source(source, WatermarkStrategy.no_watermarks(), name)
            .map(lambda n: n * 7919 % 1_000_003, Types.LONG())
            .filter(lambda n: n % 5 != 0)
            .map(str, Types.STRING())
            .sink_to(
                FileSink.for_row_format(os.path.join(output, name), Encoder.simple_string_encoder())
                .with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=1 << 13))
                .build()
            )
        )
    env.execute("regions")


main(*sys.argv[1:])
