"""The end of a chain: drives a sink's writer."""

from __future__ import annotations

from collections.abc import Iterator

from shmflink.connectors.base import Sink, SinkWriter
from shmflink.core.batch import Batch
from shmflink.operators.base import Operator, OperatorContext

__all__ = ["SinkOperator"]


class SinkOperator(Operator):
    """Writes every batch; finished when the writer has made everything visible."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._writer: SinkWriter | None = None

    def open(self, context: OperatorContext) -> None:
        self._writer = self._sink.create_writer(context)

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        assert self._writer is not None, "process() before open()"
        self._writer.write(batch)
        return iter(())

    def finish(self) -> Iterator[Batch]:
        assert self._writer is not None, "finish() before open()"
        self._writer.finish()
        return iter(())

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @property
    def is_available(self) -> bool:
        return self._writer is None or self._writer.is_available

    @property
    def is_finished(self) -> bool:
        """True when nothing is under way any more after `finish`."""
        return self._writer is None or self._writer.is_finished

    @property
    def needs_commit(self) -> bool:
        """True while something that was written waits for a checkpoint to be committed."""
        return False
