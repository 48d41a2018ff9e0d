"""Counts the words of a text, per record, with PyFlink's API. Replace `shmflink` with `pyflink`, and it runs on Flink.

shmflink run examples/word_count.py --slots 4
python examples/word_count.py --input book.txt --output counts/
"""

import argparse
import sys

from shmflink.common import Encoder, Types, WatermarkStrategy
from shmflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import (
    FileSink,
    FileSource,
    OutputFileConfig,
    RollingPolicy,
    StreamFormat,
)

TEXT = """\
To be, or not to be, that is the question:
Whether 'tis nobler in the mind to suffer
The slings and arrows of outrageous fortune,
Or to take arms against a sea of troubles
And by opposing end them. To die: to sleep;
No more; and by a sleep to say we end
The heart-ache and the thousand natural shocks
That flesh is heir to, 'tis a consummation
Devoutly to be wish'd. To die, to sleep;
To sleep: perchance to dream: ay, there's the rub;
For in that sleep of death what dreams may come
When we have shuffled off this mortal coil,
Must give us pause: there's the respect
That makes calamity of so long life.""".splitlines()


def word_count(input_path, output_path):
    env = StreamExecutionEnvironment.get_execution_environment()
    # BATCH emits one count per word, at the end; STREAMING would emit every update
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)

    if input_path is not None:
        lines = env.from_source(
            FileSource.for_record_stream_format(StreamFormat.text_line_format(), input_path)
            .process_static_file_set()
            .build(),
            WatermarkStrategy.for_monotonous_timestamps(),
            "text files",
        )
    else:
        print("Counting the words of a built-in text. Use --input to name a file or folder.")
        lines = env.from_collection(TEXT, Types.STRING())

    counts = (
        lines.flat_map(str.split, output_type=Types.STRING())
        .map(lambda word: (word, 1), output_type=Types.TUPLE([Types.STRING(), Types.INT()]))
        .key_by(lambda pair: pair[0])
        .reduce(lambda left, right: (left[0], left[1] + right[1]))
    )

    if output_path is not None:
        counts.sink_to(
            FileSink.for_row_format(output_path, Encoder.simple_string_encoder())
            .with_output_file_config(
                OutputFileConfig.builder().with_part_prefix("words").with_part_suffix(".txt").build()
            )
            .with_rolling_policy(RollingPolicy.default_rolling_policy())
            .build()
        )
    else:
        print("Printing the counts. Use --output to write them into a folder.")
        counts.print()

    # flushes the line above before the workers print
    sys.stdout.flush()
    env.execute("word count")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", help="a text file, or a folder or pattern of them")
    parser.add_argument("--output", help="the folder to write into")
    arguments = parser.parse_args()
    word_count(arguments.input, arguments.output)
