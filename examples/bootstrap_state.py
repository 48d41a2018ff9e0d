"""Starts a job with state from a table: balances from a Parquet file, before the first payment arrives.

    shmflink run examples/bootstrap_state.py --slots 2
    python examples/bootstrap_state.py

Savepoints are plain files: `shmflink state list` and `shmflink state read` show the content of one.
"""

import argparse
import os
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq

from shmflink.common import Configuration, Types
from shmflink.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from shmflink.datastream.state import ValueStateDescriptor
from shmflink.state_processor import OperatorIdentifier, SavepointReader, SavepointWriter

BALANCE = ValueStateDescriptor("balance", Types.LONG())
PAYMENT = Types.TUPLE([Types.STRING(), Types.LONG()])


class Balance(KeyedProcessFunction):
    def open(self, runtime_context):
        self.balance = runtime_context.get_state(BALANCE)

    def process_element(self, value, ctx):
        account, amount = value
        balance = (self.balance.value() or 0) + amount
        self.balance.update(balance)
        yield account, balance


def bootstrap(parquet: str, savepoint: str) -> None:
    """The state of the operator with the uid `balances`, one entry for each row."""
    table = pq.read_table(parquet)
    writer = SavepointWriter.new_savepoint(max_parallelism=128)
    writer.with_keyed_state(OperatorIdentifier.for_uid("balances"), BALANCE, table, key="account", value="cents")
    writer.write(savepoint)


def main(parquet: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if parquet is None:
            parquet = os.path.join(folder, "balances.parquet")
            pq.write_table(pa.table({"account": ["A", "B", "C"], "cents": [10_000, 250, 0]}), parquet)
        savepoint = os.path.join(folder, "savepoint")
        bootstrap(parquet, savepoint)
        written = SavepointReader.read(savepoint).read_keyed_state("balances", "balance")
        print(f"{written.num_rows} balances of {sum(written['value'].to_pylist())} cents")

        configuration = Configuration()
        configuration.set_string("execution.state-recovery.path", savepoint)  # what `shmflink run -s` sets
        env = StreamExecutionEnvironment.get_execution_environment(configuration)
        payments = env.from_collection([("A", 5), ("B", -250), ("D", 70), ("A", 1)], PAYMENT)
        payments.key_by(lambda payment: payment[0]).process(Balance(), PAYMENT).uid("balances").print()
        env.execute("balances")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parquet", help="a file with the columns account and cents")
    main(parser.parse_args().parquet)
