"""Readings that arrive too late for their window go to a side output, so that none is dropped silently.

    shmflink run examples/late_data.py --slots 2
    python examples/late_data.py

The watermark lags two seconds behind the readings; a window accepts late readings for another second. Here one reading
of each sensor arrives even later.
"""

from shmflink.common import Time, Types, WatermarkStrategy
from shmflink.common.watermark_strategy import TimestampAssigner, WatermarkGenerator
from shmflink.datastream import OutputTag, ProcessWindowFunction, StreamExecutionEnvironment
from shmflink.datastream.window import TumblingEventTimeWindows

READING = Types.TUPLE([Types.STRING(), Types.DOUBLE(), Types.LONG()])
LATE = OutputTag("late", READING)


class ReadingTime(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[2]


class TwoSecondsBehind(WatermarkGenerator):
    """A watermark after every reading. WatermarkStrategy's own come every 200 ms: too late for so short an input."""

    def on_event(self, event, event_timestamp, output):
        output.emit_watermark(event_timestamp - 2000)

    def on_periodic_emit(self, output):
        pass


class Mean(ProcessWindowFunction):
    def process(self, key, context, elements):
        values = [reading[1] for reading in elements]
        yield f"{key} from {context.window().start} ms: mean {sum(values) / len(values):.2f} of {len(values)}"


def readings():
    """One reading per second and sensor, in order, except that second 5 comes after second 29."""
    seconds = [second for second in range(30) if second != 5] + [5]
    return [(sensor, 20 + second / 10, second * 1000) for second in seconds for sensor in ("north", "south")]


def main():
    env = StreamExecutionEnvironment.get_execution_environment()
    timed = WatermarkStrategy.for_generator(TwoSecondsBehind).with_timestamp_assigner(ReadingTime())
    windows = (
        env.from_collection(readings(), READING)
        .assign_timestamps_and_watermarks(timed)
        .set_parallelism(1)  # keeps their order
        .key_by(lambda reading: reading[0], Types.STRING())
        .window(TumblingEventTimeWindows.of(Time.seconds(10)))
        .allowed_lateness(1000)
        .side_output_late_data(LATE)
        .process(Mean(), Types.STRING())
    )
    windows.print()
    windows.get_side_output(LATE).map(lambda reading: f"too late: {reading}", Types.STRING()).print()
    env.execute("late data")


if __name__ == "__main__":
    main()
