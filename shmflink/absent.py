"""What PyFlink has and this version lacks: one table of modules and names, each with its alternative.

Importing such a module, or such a name from an existing module, raises an ImportError that says so. Keys are PyFlink's
paths without `pyflink.`; a key stands for everything below it. Imports only `sys`, because every `import shmflink`
pays for it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Never

__all__ = ["ABSENT", "names_absent", "why_absent"]

_KAFKA = "Kafka: not in this version; read files, sockets or PostgreSQL, or write a Source (shmflink.connectors.base)"
_CONNECTOR = "not in this version; write to files or PostgreSQL, or write your own Sink or SinkFunction"
_JVM = "there is no JVM here"
_INTERNAL = "it is internal to PyFlink and has no counterpart here"
_TABLE = "Table API and SQL: not in this version; use select(), filter(), aggregate() and top_n() of streams of columns"
_ROCKSDB = "state is kept in memory here, and written incrementally to the checkpoint folder"
_AVRO_FILES = "Avro in Parquet files: not in this version; use ParquetBulkWriters, read_parquet() or FileSink.parquet()"
_ROW_SCHEMAS = "Avro messages: not in this version; use the JsonRow and CsvRow schemas"

ABSENT: dict[str, str] = {
    "common.AssignerWithPeriodicWatermarksWrapper": _JVM,
    "common.watermark_strategy.AssignerWithPeriodicWatermarksWrapper": _JVM,
    "common.types.RowKind.to_j_row_kind": _JVM,
    "common.serialization.RowDataBulkWriterFactory.get_row_type": _JVM,
    "common.utils": _INTERNAL,
    "common.constants": _INTERNAL,
    "common.AvroRowDeserializationSchema": _ROW_SCHEMAS,
    "common.AvroRowSerializationSchema": _ROW_SCHEMAS,
    "datastream.functions.AsyncFunctionDescriptor": _INTERNAL,
    "datastream.functions.FunctionWrapper": _INTERNAL,
    "datastream.functions.InternalIterableAllWindowFunction": _INTERNAL,
    "datastream.functions.InternalIterableProcessAllWindowFunction": _INTERNAL,
    "datastream.functions.InternalIterableProcessWindowFunction": _INTERNAL,
    "datastream.functions.InternalIterableWindowFunction": _INTERNAL,
    "datastream.functions.InternalProcessAllWindowContext": _INTERNAL,
    "datastream.functions.InternalProcessWindowContext": _INTERNAL,
    "datastream.functions.InternalSingleValueAllWindowFunction": _INTERNAL,
    "datastream.functions.InternalSingleValueProcessAllWindowFunction": _INTERNAL,
    "datastream.functions.InternalSingleValueProcessWindowFunction": _INTERNAL,
    "datastream.functions.InternalSingleValueWindowFunction": _INTERNAL,
    "datastream.functions.InternalWindowFunction": _INTERNAL,
    "datastream.functions.JavaFunctionWrapper": _JVM,
    "datastream.functions.NullByteKeySelector": _INTERNAL,
    "datastream.functions.PassThroughAllWindowFunction": _INTERNAL,
    "datastream.functions.PassThroughWindowFunction": _INTERNAL,
    "datastream.functions.ReduceFunctionWrapper": _INTERNAL,
    "datastream.CustomCheckpointStorage": _JVM + "; execution.checkpointing.dir names a folder",
    "datastream.checkpoint_storage.CustomCheckpointStorage": _JVM + "; execution.checkpointing.dir names a folder",
    "datastream.CustomStateBackend": f"{_JVM}; {_ROCKSDB}",
    "datastream.PredefinedOptions": f"they are options of RocksDB; {_ROCKSDB}",
    "datastream.state_backend.CustomStateBackend": f"{_JVM}; {_ROCKSDB}",
    "datastream.state_backend.PredefinedOptions": f"they are options of RocksDB; {_ROCKSDB}",
    "datastream.state_backend.EmbeddedRocksDBStateBackend.": _ROCKSDB,
    "datastream.state.StateTtlConfig.CleanupStrategies.RocksdbCompactFilterCleanupStrategy": _ROCKSDB,
    "datastream.state.OperatorStateStore.get_broadcast_state": "use get_broadcast_state() of a function's context",
    "datastream.utils": _INTERNAL,
    "datastream.window.CountWindowSerializer": _INTERNAL,
    "datastream.window.GlobalWindowSerializer": _INTERNAL,
    "datastream.window.ContinuousEventTimeTrigger.register_next_fire_timestamp": _INTERNAL,
    "datastream.window.ContinuousProcessingTimeTrigger.register_next_fire_timestamp": _INTERNAL,
    "datastream.window.Min": _INTERNAL,
    "datastream.window.TimeWindowSerializer": _INTERNAL,
    "datastream.window.WindowOperationDescriptor": _INTERNAL,
    "datastream.connectors.base.StreamTransformer": _JVM,
    "datastream.connectors.base.SupportsPreprocessing": _JVM,
    "datastream.connectors.cassandra": f"Cassandra: {_CONNECTOR}",
    "datastream.connectors.dynamic_kafka": _KAFKA,
    "datastream.connectors.elasticsearch": f"Elasticsearch: {_CONNECTOR}",
    "datastream.connectors.kafka": _KAFKA,
    "datastream.connectors.kinesis": f"Kinesis: {_CONNECTOR}",
    "datastream.connectors.pubsub": f"Pub/Sub: {_CONNECTOR}",
    "datastream.connectors.pulsar": f"Pulsar: {_CONNECTOR}",
    "datastream.connectors.rabbitmq": f"RabbitMQ: {_CONNECTOR}",
    "datastream.connectors.DynamicKafkaSource": _KAFKA,
    "datastream.connectors.DynamicKafkaSourceBuilder": _KAFKA,
    "datastream.connectors.FlinkKafkaConsumer": _KAFKA,
    "datastream.connectors.FlinkKafkaProducer": _KAFKA,
    "datastream.connectors.KafkaMetadataService": _KAFKA,
    "datastream.connectors.KafkaSource": _KAFKA,
    "datastream.connectors.Semantic": _KAFKA,
    "datastream.connectors.file_system.FileSink.get_transformer": _JVM,
    "datastream.data_stream.CachedDataStream": "write the stream to files with sink_to(), and read these",
    "datastream.formats.avro.AvroInputFormat.get_produced_type": _JVM,
    "datastream.formats.avro.AvroRowDeserializationSchema": _ROW_SCHEMAS,
    "datastream.formats.avro.AvroRowSerializationSchema": _ROW_SCHEMAS,
    "datastream.formats.parquet.AvroParquetReaders": _AVRO_FILES,
    "datastream.formats.parquet.AvroParquetWriters": _AVRO_FILES,
    "dataset": "Flink 2 removed the DataSet API; use shmflink.datastream",
    "find_flink_home": _JVM,
    "fn_execution": _INTERNAL,
    "gen_protos": _INTERNAL,
    "java_gateway": _JVM,
    "pyflink_callback_server": _JVM,
    "pyflink_gateway_server": _JVM,
    "serializers": _INTERNAL,
    "shell": "start Python and import shmflink.datastream",
    "table": _TABLE,
    "testing.source_sink_utils": "use shmflink.testing.MiniCluster",
    "testing.test_case_utils": "use shmflink.testing.MiniCluster",
    "util": _INTERNAL,
    "version": "use shmflink.__version__",
}


def why_absent(path: str) -> str | None:
    """Why PyFlink's `path`, without `shmflink.`, is absent here; None if PyFlink has no such name."""
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        key = ".".join(parts[:count])
        found = ABSENT.get(key) or (ABSENT.get(key + ".") if count < len(parts) else None)
        if found is not None:
            return found
    return None


def names_absent(module: str) -> Callable[[str], Never]:
    """A `__getattr__` for a module: raises an ImportError with the reason for names that PyFlink has and shmflink
    lacks.
    """

    def lookup(name: str) -> Never:
        reason = None if name.startswith("__") else why_absent(f"{module.partition('.')[2]}.{name}")
        if reason is None:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        raise ImportError(f"{module}.{name} of PyFlink is not available here: {reason}", name=module)

    return lookup


class _Finder:
    """Asked last, for modules that no other finder has found."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        package, _dot, below = name.partition(".")
        reason = why_absent(below) if package == "shmflink" and below else None
        if reason is not None:
            raise ModuleNotFoundError(f"{name} of PyFlink is not available here: {reason}", name=name)


sys.meta_path.append(_Finder)
