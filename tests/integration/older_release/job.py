"""The job of `tests/integration/older_release`: run it to its end from the savepoint in there."""

import numpy as np
import pyarrow as pa

from shmflink.common import Types
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.functions import KeyedProcessFunction
from shmflink.datastream.state import ValueStateDescriptor


class Numbered(KeyedProcessFunction):
    def open(self, context):
        self.count = context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value, context):
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        yield f"{value} {count}"


def rows(start, stop):
    return pa.record_batch([pa.array(np.arange(start, stop))], names=["n"])


env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
numbers = env.generate(rows, 20_000, batch_rows=100).uid("numbers").map(lambda row: row.n, Types.LONG())
counted = numbers.key_by(lambda n: n % 7, Types.LONG()).process(Numbered(), Types.STRING()).uid("numbered")
counted.print().uid("print")
env.execute("numbered")
