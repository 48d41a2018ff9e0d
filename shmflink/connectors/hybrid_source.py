"""One source after another (FLIP-150; PyFlink: HybridSource): first files, then the source that continues them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from shmflink.connectors.base import (
    Boundedness,
    Poll,
    Source,
    SourceReader,
    Split,
    SplitBatch,
    SplitEnd,
    SplitEnumerator,
)
from shmflink.core.batch import Batch
from shmflink.core.schema_metadata import merged_metadata
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import ConfigurationError, UsageError
from shmflink.operators.base import OperatorContext, SideOutput

__all__ = ["HybridSource", "HybridSourceBuilder"]


class HybridSource(Source):
    """Reads sources one after the other: the next source begins when all readers have finished the previous one.

    All but the last must be bounded, and all must produce the same type. Positions survive a restart: a split records
    its source. Created by `builder(first)`.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        """Raises ConfigurationError if a source follows an unbounded one, or if types differ."""
        endless = [type(source).__name__ for source in sources[:-1] if source.boundedness is not Boundedness.BOUNDED]
        if endless:
            raise ConfigurationError(
                f"HybridSource: {endless[0]} is unbounded, so no source can follow it; put it last"
            )
        kinds = {str(source.produced_type) for source in sources}
        if len(kinds) > 1:
            raise ConfigurationError(
                f"HybridSource: all sources must produce the same type; these produce {sorted(kinds)}"
            )
        self._sources = tuple(sources)
        self.boundedness = sources[-1].boundedness
        self.gives_timestamps = any(source.gives_timestamps for source in sources)
        self.is_replayable = all(source.is_replayable for source in sources)

    @staticmethod
    def builder(first_source: Source) -> HybridSourceBuilder:
        """Begins with this source."""
        return HybridSourceBuilder(first_source)

    @property
    def produced_type(self) -> TypeInformation | None:
        return self._sources[0].produced_type

    @property
    def produced_metadata(self) -> pa.Schema:
        return merged_metadata([source.produced_metadata for source in self._sources])

    @property
    def fixed_parallelism(self) -> int | None:
        return 1 if any(source.fixed_parallelism == 1 for source in self._sources) else None

    def side_output_type(self, tag: str) -> TypeInformation | None:
        found = (source.side_output_type(tag) for source in self._sources)
        return next((kind for kind in found if kind is not None), None)

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator:
        return _Enumerator(self._sources, parallelism, state)

    def create_reader(self, context: OperatorContext) -> SourceReader:
        return _Reader(self._sources, context)


class HybridSourceBuilder:
    """Adds sources, in their order."""

    def __init__(self, first_source: Source) -> None:
        self._sources = [_checked(first_source)]

    def add_source(self, source: Source) -> HybridSourceBuilder:
        """Adds a source, which is read after all previous ones."""
        self._sources.append(_checked(source))
        return self

    def build(self) -> HybridSource:
        """Raises ConfigurationError as HybridSource does."""
        return HybridSource(self._sources)


def _checked(source: Source) -> Source:
    if not isinstance(source, Source):
        raise TypeError(f"HybridSource takes Sources, got {type(source).__name__}")
    return source


class _Enumerator(SplitEnumerator):
    """Assigns the splits of one source, then those of the next one once every reader that got splits has requested
    again.

    A reader requests a split when it has none left. So one request from each reader means that the source has been
    read.
    """

    def __init__(self, sources: Sequence[Source], parallelism: int, state: Any) -> None:
        self._sources = sources
        self._parallelism = parallelism
        index, inner = (0, None) if state is None else state
        self._index: int = index
        self._inner = sources[self._index].create_enumerator(parallelism, inner)
        # After a restart readers may hold splits: each must request one before the next source begins.
        self._reading: set[int] = set() if state is None else set(range(parallelism))
        self._back: list[Split] = []

    def next_split(self, subtask: int) -> Split | None:
        self._reading.discard(subtask)
        if self._back:
            return self._handed_out(subtask, self._back.pop(0))
        while True:
            split = self._inner.next_split(subtask)
            if split is not None:
                marked = Split(f"{self._index}:{split.split_id}", (self._index, split), split.size)
                return self._handed_out(subtask, marked)
            if not self._inner.is_exhausted or self._reading or self._index + 1 == len(self._sources):
                return None
            self._inner.close()
            self._index += 1
            self._inner = self._sources[self._index].create_enumerator(self._parallelism)

    def _handed_out(self, subtask: int, split: Split) -> Split:
        self._reading.add(subtask)
        return split

    @property
    def is_exhausted(self) -> bool:
        return not self._back and self._index + 1 == len(self._sources) and self._inner.is_exhausted

    def add_splits_back(self, splits: Sequence[Split]) -> None:
        self._back[:0] = splits

    def snapshot(self) -> Any:
        return self._index, self._inner.snapshot()

    def close(self) -> None:
        self._inner.close()


class _Reader(SourceReader):
    """Uses a reader of the source from which its latest splits come."""

    def __init__(self, sources: Sequence[Source], context: OperatorContext) -> None:
        self._sources = sources
        self._context = context
        self._index = -1
        self._inner: SourceReader | None = None
        self._waiting: list[Split] = []
        self._ends = False
        self._begun = 0

    def add_split(self, split: Split) -> None:
        self._waiting.append(split)
        self._waiting.sort(key=lambda waiting: waiting.payload[0])
        self._take()

    def no_more_splits(self) -> None:
        self._ends = True
        self._take()

    def _take(self) -> None:
        """Passes splits to the reader of their source; splits of another source wait until that reader has none
        left.
        """
        while self._waiting:
            index, split = self._waiting[0].payload
            if index != self._index:
                if self._inner is not None and self._inner.snapshot():
                    return
                self._switch(index)
            assert self._inner is not None
            self._inner.add_split(split)
            del self._waiting[0]
            if type(self._inner).splits_begun is SourceReader.splits_begun:
                self._begun += 1  # for a reader that does not report it
        if self._ends and self._inner is not None:
            self._inner.no_more_splits()

    def _switch(self, index: int) -> None:
        if self._inner is not None:
            self._begun += self._inner.splits_begun
            self._inner.close()
        self._index = index
        self._inner = self._sources[index].create_reader(self._context)
        if self._inner.reads_concurrently:
            raise UsageError(
                f"the source '{self._context.operator_name}': {type(self._sources[index]).__name__} reads its splits "
                "at the same time, but a hybrid source reads them one after another. Read it in a separate job"
            )

    def poll(self) -> Batch | SideOutput | Poll:
        if self._inner is None:
            return Poll.END if self._ends else Poll.NEED_SPLIT
        found = self._inner.poll()
        if found in (Poll.NEED_SPLIT, Poll.END) and self._waiting:
            self._take()
            return Poll.AGAIN
        assert not isinstance(found, (SplitBatch, SplitEnd)), "of a reader of concurrent splits"
        return found

    @property
    def splits_begun(self) -> int:
        return self._begun + (0 if self._inner is None else self._inner.splits_begun)

    def snapshot(self) -> Sequence[Split]:
        inner = () if self._inner is None else self._inner.snapshot()
        marked = [Split(f"{self._index}:{split.split_id}", (self._index, split), split.size) for split in inner]
        return [*marked, *self._waiting]

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        if self._inner is not None:
            self._inner.checkpoint_completed(checkpoint_id)

    def stop(self, *, drained: bool) -> None:
        if self._inner is not None:
            self._inner.stop(drained=drained)

    def close(self) -> None:
        if self._inner is not None:
            self._inner.close()
