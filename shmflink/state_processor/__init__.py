"""Reads, changes and writes savepoints without a running job (Flink's State Processor API), on Arrow tables.

::

    SavepointWriter.new_savepoint(max_parallelism=128).with_keyed_state(
        OperatorIdentifier.for_uid("counts"),
        ValueStateDescriptor("total", Types.LONG()),
        pyarrow.parquet.read_table("totals.parquet"), key="word", value="count",
    ).write("/backups/bootstrapped")          # then: shmflink run -s /backups/bootstrapped job.py

Stands on `checkpoint`, `state` and `operators`; knows no cluster.
"""

from shmflink.state_processor.bootstrap import (
    KeyedStateBootstrapFunction,
    OperatorTransformation,
    StateBootstrapTransformation,
)
from shmflink.state_processor.operator_identifier import OperatorIdentifier
from shmflink.state_processor.savepoint_reader import SavepointReader
from shmflink.state_processor.savepoint_writer import SavepointWriter

__all__ = [
    "KeyedStateBootstrapFunction",
    "OperatorIdentifier",
    "OperatorTransformation",
    "SavepointReader",
    "SavepointWriter",
    "StateBootstrapTransformation",
]
