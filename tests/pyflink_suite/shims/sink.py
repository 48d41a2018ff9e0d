"""The sink with which PyFlink's tests collect (`pyflink.datastream.tests.test_util`): into files of a folder."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import cloudpickle

from shmflink.common.watermark_strategy import TimestampAssigner
from shmflink.connectors.base import Sink, SinkWriter
from shmflink.connectors.formats.text import java_lines
from shmflink.core.batch import Batch
from shmflink.core.serialization.codec import loads_trusted
from shmflink.operators.base import OperatorContext


class DataStreamTestSinkFunction(Sink):
    """Keeps of each record its Java text and, where it can be pickled, the object."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp()

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        return _Writer(self._folder, context.subtask_index)

    def get_results(self, is_python_object: bool = False, stringify: bool = True) -> list[Any]:
        """All that came since the last call; the texts, or the objects (as text where `stringify`)."""
        found = []
        for name in sorted(os.listdir(self._folder)):
            path = os.path.join(self._folder, name)
            with open(path, "rb") as file:
                found += [pair for batch in loads_trusted(file.read()) for pair in batch]
            os.remove(path)
        if not is_python_object:
            return [text for text, _ in found]
        return [str(value) if stringify else value for _, value in found]

    def clear(self) -> None:
        self.get_results()


class _Writer(SinkWriter):
    def __init__(self, folder: str, subtask: int) -> None:
        self._path = os.path.join(folder, f"{subtask:05}")
        self._batches: list[list[tuple[str, Any]]] = []

    def write(self, batch: Batch) -> None:
        self._batches.append(list(zip(java_lines(batch), batch.rows(), strict=True)))

    def finish(self) -> None:
        with open(self._path, "wb") as file:
            cloudpickle.dump(self._batches, file)


class SecondColumnTimestampAssigner(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value[1])
