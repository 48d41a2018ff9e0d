"""Words of made-up lines, counted; every count on the way is written. Arguments: OUTPUT ROWS [ROWS_PER_S]."""

import os
import sys

from shmflink.common import Encoder, Types
from shmflink.common.watermark_strategy import WatermarkStrategy
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink, RollingPolicy

WORDS = 997


def lines(start, stop):
    return [f"w{row * 7919 % WORDS} w{row * row % 31} w{row % 5}" for row in range(start, stop)]


def main(output, rows, rate=None):
    env = StreamExecutionEnvironment.get_execution_environment()
    source = GeneratorSource(lines, int(rows), Types.STRING(), batch_rows=500, rows_per_second=rate and float(rate))
    (
        env.from_source(source, WatermarkStrategy.no_watermarks(), "lines")
        .flat_map(str.split, Types.STRING())
        .map(lambda word: (word, 1), Types.TUPLE([Types.STRING(), Types.INT()]))
        .key_by(lambda pair: pair[0], Types.STRING())
        .reduce(lambda left, right: (left[0], left[1] + right[1]))
        .map(lambda pair: f"{pair[0]} {pair[1]}", Types.STRING())
        .sink_to(
            # a file goes on over several checkpoints, and is cut after a restart
            FileSink.for_row_format(os.path.join(output, "counts"), Encoder.simple_string_encoder())
            .with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=1 << 14))
            .build()
        )
    )
    env.execute("word count")


main(*sys.argv[1:])
