"""Warns if a large payment follows a small one of the same account within a minute.

    shmflink run examples/fraud_detector.py --slots 2
    python examples/fraud_detector.py

The state of an account holds its last small payment; a timer clears the state after a minute.
"""

from shmflink.common import Types, WatermarkStrategy
from shmflink.common.watermark_strategy import TimestampAssigner, WatermarkGenerator
from shmflink.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from shmflink.datastream.state import ValueStateDescriptor

SMALL, LARGE, MINUTE_MS = 1.00, 500.00, 60_000

PAYMENTS = [  # account, amount, ms
    ("A", 0.50, 1_000),
    ("B", 700.00, 2_000),
    ("A", 600.00, 30_000),  # 29 s after a small one: a warning
    ("B", 0.10, 40_000),
    ("B", 20.00, 41_000),
    ("B", 800.00, 42_000),  # another one was in between
    ("C", 0.90, 50_000),
    ("D", 5.00, 115_000),
    ("C", 900.00, 120_000),  # more than a minute later: forgotten
]


class PaymentTime(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[2]


class AfterEveryPayment(WatermarkGenerator):
    """Payments arrive in order. WatermarkStrategy's own watermarks come every 200 ms: too late for this input."""

    def on_event(self, event, event_timestamp, output):
        output.emit_watermark(event_timestamp)

    def on_periodic_emit(self, output):
        pass


class FraudDetector(KeyedProcessFunction):
    def open(self, runtime_context):
        self.was_small = runtime_context.get_state(ValueStateDescriptor("was small", Types.BOOLEAN()))
        self.timer = runtime_context.get_state(ValueStateDescriptor("timer", Types.LONG()))

    def process_element(self, value, ctx):
        account, amount, _ = value
        if self.was_small.value():
            if amount > LARGE:
                yield f"account {account}: {amount:.2f} right after a small payment"
            ctx.timer_service().delete_event_time_timer(self.timer.value())
            self.forget()
        if amount < SMALL:
            self.was_small.update(True)
            self.timer.update(ctx.timestamp() + MINUTE_MS)
            ctx.timer_service().register_event_time_timer(self.timer.value())

    def on_timer(self, timestamp, ctx):
        self.forget()

    def forget(self):
        self.was_small.clear()
        self.timer.clear()


def main():
    env = StreamExecutionEnvironment.get_execution_environment()
    timed = WatermarkStrategy.for_generator(AfterEveryPayment).with_timestamp_assigner(PaymentTime())
    payment = Types.TUPLE([Types.STRING(), Types.DOUBLE(), Types.LONG()])
    (
        env.from_collection(PAYMENTS, payment)
        .assign_timestamps_and_watermarks(timed)
        .set_parallelism(1)  # keeps their order
        .key_by(lambda one: one[0], Types.STRING())
        .process(FraudDetector(), Types.STRING())
        .print()
    )
    env.execute("fraud detector")


if __name__ == "__main__":
    main()
