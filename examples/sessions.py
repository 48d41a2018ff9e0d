"""Groups clicks into sessions: a session ends when its user has not clicked for thirty seconds.

shmflink run examples/sessions.py --slots 2
python examples/sessions.py
"""

from shmflink.common import Duration, Time, Types, WatermarkStrategy
from shmflink.common.watermark_strategy import TimestampAssigner
from shmflink.datastream import AggregateFunction, ProcessWindowFunction, StreamExecutionEnvironment
from shmflink.datastream.window import EventTimeSessionWindows

CLICKS = [  # user, page, second; not in order
    ("ann", "/", 0),
    ("bob", "/", 5),
    ("ann", "/shoes", 20),
    ("bob", "/hats", 80),
    ("ann", "/cart", 45),
    ("ann", "/", 100),
    ("bob", "/cart", 70),
    ("ann", "/coats", 101),
]


class ClickTime(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[2] * 1000


class Count(AggregateFunction):
    """Counts the clicks of a session incrementally: the state is one number."""

    def create_accumulator(self):
        return 0

    def add(self, value, accumulator):
        return accumulator + 1

    def get_result(self, accumulator):
        return accumulator

    def merge(self, acc_a, acc_b):
        return acc_a + acc_b  # a late click may merge two sessions


class Session(ProcessWindowFunction):
    def process(self, key, context, elements):
        (clicks,) = elements
        window = context.window()
        yield f"{key}: {clicks} clicks from second {window.start // 1000} to {window.end // 1000 - 30}"


def main():
    env = StreamExecutionEnvironment.get_execution_environment()
    timed = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(60)).with_timestamp_assigner(ClickTime())
    (
        env.from_collection(CLICKS, Types.TUPLE([Types.STRING(), Types.STRING(), Types.LONG()]))
        .assign_timestamps_and_watermarks(timed)
        .key_by(lambda click: click[0], Types.STRING())
        .window(EventTimeSessionWindows.with_gap(Time.seconds(30)))
        .aggregate(Count(), Session(), output_type=Types.STRING())
        .print()
    )
    env.execute("sessions")


if __name__ == "__main__":
    main()
