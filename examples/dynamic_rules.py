"""Rules that change while the job runs: every subtask receives every rule, and applies the rules so far to its events.

    shmflink run examples/dynamic_rules.py --slots 2
    python examples/dynamic_rules.py

In BATCH mode, as here, all rules arrive before the first event. A service would read both from unbounded sources, in
STREAMING mode.
"""

from shmflink.common import Types
from shmflink.datastream import KeyedBroadcastProcessFunction, RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.datastream.state import MapStateDescriptor, ValueStateDescriptor

RULES = MapStateDescriptor("rules", Types.STRING(), Types.DOUBLE())

LIMITS = [("celsius", 30.0), ("bar", 2.0)]
READINGS = [("oven", "celsius", 180.0), ("cellar", "celsius", 12.0), ("boiler", "bar", 2.5), ("oven", "celsius", 220.0)]


class Judge(KeyedBroadcastProcessFunction):
    def open(self, runtime_context):
        self.alarms = runtime_context.get_state(ValueStateDescriptor("alarms", Types.LONG()))

    def process_broadcast_element(self, value, ctx):
        unit, limit = value
        ctx.get_broadcast_state(RULES).put(unit, limit)

    def process_element(self, value, ctx):
        place, unit, reading = value
        limit = ctx.get_broadcast_state(RULES).get(unit)
        if limit is not None and reading > limit:
            self.alarms.update((self.alarms.value() or 0) + 1)
            yield f"{place}: {reading} {unit} is above {limit} (alarm {self.alarms.value()})"


def main():
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    limits = env.from_collection(LIMITS, Types.TUPLE([Types.STRING(), Types.DOUBLE()])).broadcast(RULES)
    readings = env.from_collection(READINGS, Types.TUPLE([Types.STRING(), Types.STRING(), Types.DOUBLE()]))
    readings.key_by(lambda one: one[0], Types.STRING()).connect(limits).process(Judge(), Types.STRING()).print()
    env.execute("dynamic rules")


if __name__ == "__main__":
    main()
