"""Sources and sinks driven by hand, as the tests of connectors drive them."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from oracle.mailboxes import WaitableMailbox

from shmflink.checkpoint.handles import FINAL_CHECKPOINT_ID
from shmflink.connectors.base import Committer, Poll, Sink, SinkWriter, Source, Split
from shmflink.core.batch import Batch
from shmflink.operators.base import OperatorContext


class SteppedClock:
    """Both clocks in one number that tests move."""

    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000

    def monotonic_ns(self) -> int:
        return self.now_ms * 1_000_000

    def processing_time_ms(self) -> int:
        return self.now_ms


class Driver:
    """What tests ask of sources and sinks."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.mailbox = WaitableMailbox()
        self._writers: dict[SinkWriter, Committer | None] = {}

    def context(self, subtask: int = 0, parallelism: int = 1) -> OperatorContext:
        return OperatorContext(
            operator_name="op",
            operator_id="0" * 32,
            task_name="op",
            subtask_index=subtask,
            parallelism=parallelism,
            max_parallelism=128,
            attempt=0,
            is_batch=False,
            configuration={},
            mailbox=self.mailbox,
            clock=self.clock,
        )

    def batches(self, source: Source, parallelism: int = 1) -> list[Batch]:
        """All batches of all readers, read in turn."""
        enumerator = source.create_enumerator(parallelism)
        made: list[Batch] = []
        for subtask in range(parallelism):
            reader = source.create_reader(self.context(subtask, parallelism))
            with closing(reader):
                while (answer := reader.poll()) is not Poll.END:
                    if isinstance(answer, Batch):
                        made.append(answer)
                    elif answer is Poll.NEED_SPLIT:
                        split = enumerator.next_split(subtask)
                        reader.no_more_splits() if split is None else reader.add_split(split)
        assert enumerator.is_exhausted
        return made

    def rows(self, source: Source, parallelism: int = 1) -> list[Any]:
        return [row for batch in self.batches(source, parallelism) for row in batch.rows()]

    def read_split(self, source: Source, split: Split) -> list[Any]:
        reader = source.create_reader(self.context())
        reader.add_split(split)
        reader.no_more_splits()
        rows: list[Any] = []
        while isinstance(answer := reader.poll(), Batch):
            rows += answer.rows()
        reader.close()
        return rows

    def writer(self, sink: Sink, subtask: int = 0, parallelism: int = 1) -> SinkWriter:
        context = self.context(subtask, parallelism)
        writer = sink.create_writer(context)
        self._writers[writer] = sink.create_committer(context)
        return writer

    def write(self, writer: SinkWriter, *batches: Batch) -> None:
        for batch in batches:
            self.mailbox.wait_until(lambda: writer.is_available)
            writer.write(batch)

    def finish(self, writer: SinkWriter) -> None:
        writer.finish()
        self.mailbox.wait_until(lambda: writer.is_finished)
        committer = self._writers[writer]
        if committer is not None:
            committer.commit(writer.prepare_commit(FINAL_CHECKPOINT_ID)())
        self.close(writer)

    def close(self, writer: SinkWriter) -> None:
        committer = self._writers.pop(writer)
        writer.close()
        if committer is not None:
            committer.close()

    def close_all(self) -> None:
        for writer in list(self._writers):
            self.close(writer)
