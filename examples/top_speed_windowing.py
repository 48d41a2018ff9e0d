"""The top speed of each car over its last ten seconds, emitted every fifty meters (Flink's TopSpeedWindowing).

    shmflink run examples/top_speed_windowing.py --slots 2
    python examples/top_speed_windowing.py

All events of a car are in one window that never ends. A trigger fires the window when the car has driven fifty meters
since the last firing; an evictor removes events older than ten seconds.
"""

import random

from shmflink.common import Duration, Time, Types, WatermarkStrategy
from shmflink.common.watermark_strategy import TimestampAssigner
from shmflink.datastream import ProcessWindowFunction, StreamExecutionEnvironment
from shmflink.datastream.window import DeltaTrigger, GlobalWindows, TimeEvictor

CARS, EVENTS = 2, 200


class EventTime(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[3]


class TopSpeed(ProcessWindowFunction):
    def process(self, key, context, elements):
        yield max(elements, key=lambda event: event[1])


def drive():
    """Events (car, km/h, meters since the start, ms): speed changes a little every 100 ms, the same in every run."""
    dice = random.Random(1)  # noqa: S311 - not for secrets
    speeds, meters = [50] * CARS, [0.0] * CARS
    for step in range(EVENTS):
        for car in range(CARS):
            speeds[car] = min(100, max(0, speeds[car] + dice.choice((-5, 5))))
            meters[car] += speeds[car] / 3.6 * 0.1
            yield (car, speeds[car], meters[car], 1_700_000_000_000 + step * 100)


def main():
    env = StreamExecutionEnvironment.get_execution_environment()
    event = Types.TUPLE([Types.INT(), Types.INT(), Types.DOUBLE(), Types.LONG()])
    timed = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(1)).with_timestamp_assigner(EventTime())
    (
        env.from_collection(list(drive()), event)
        .assign_timestamps_and_watermarks(timed)
        .key_by(lambda one: one[0], Types.INT())
        .window(GlobalWindows.create())
        .evictor(TimeEvictor.of(Time.seconds(10)))
        .trigger(DeltaTrigger.of(50, lambda last, one: one[2] - last[2]))
        .process(TopSpeed(), event)
        .print()
    )
    env.execute("top speed")


if __name__ == "__main__":
    main()
