"""A sink with a global committer: all files of a checkpoint become visible by one manifest, as in Delta or Iceberg.

    shmflink run examples/manifest_sink.py --slots 2
    python examples/manifest_sink.py

Two subtasks write numbers to Parquet files; at the end the program counts the rows that the manifests list.

There are two kinds of committers. Each subtask has one (`create_committer`), which renames the files that its writer
has staged. The whole sink has one global committer (`create_global_committer`): when all subtasks have committed a
checkpoint, it receives their committables and writes the list of these files as one manifest. A reader of manifests
sees all rows of a checkpoint or none. After a failure, both are called again with the same committables, so both must
detect what they have already done: a file that already has its final name, and a manifest that is named after the files
it lists.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.custom import (
    Batch,
    Committer,
    DeliveryGuarantee,
    OperatorContext,
    Sink,
    SinkWriter,
)


@dataclass(frozen=True)
class DataFile:
    """A committable: a file of one subtask, staged under a hidden name."""

    name: str
    rows: int


class ManifestSink(Sink):
    """Parquet files, and manifests that list them, in one folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def create_writer(self, context: OperatorContext) -> FileWriter:
        return FileWriter(self._folder)

    def create_committer(self, context: OperatorContext) -> FileCommitter:
        return FileCommitter(self._folder)

    def create_global_committer(self, context: OperatorContext) -> ManifestCommitter:
        return ManifestCommitter(self._folder)

    def delivery_guarantee(self, configuration: Any) -> DeliveryGuarantee:
        return DeliveryGuarantee.EXACTLY_ONCE


class FileWriter(SinkWriter):
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._batches: list[pa.RecordBatch] = []

    def write(self, batch: Batch) -> None:
        self._batches.append(batch.columns())

    def prepare_commit(self, checkpoint_id: int) -> Callable[[], Sequence[DataFile]]:
        """Must be short, because the slot waits. Another thread calls the returned function, which may take long."""
        batches, self._batches = self._batches, []
        return lambda: [self._staged(batches)] if batches else []

    @property
    def has_uncommitted(self) -> bool:
        return bool(self._batches)

    def _staged(self, batches: list[pa.RecordBatch]) -> DataFile:
        file = DataFile(f"{uuid.uuid4().hex}.parquet", sum(batch.num_rows for batch in batches))
        pq.write_table(pa.Table.from_batches(batches), f"{self._folder}/.{file.name}")
        return file


class FileCommitter(Committer):
    """Of one subtask."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def commit(self, committables: Sequence[DataFile]) -> None:
        for file in committables:
            hidden = self._folder / f".{file.name}"
            if hidden.exists():  # otherwise it was renamed before the job failed
                hidden.rename(self._folder / file.name)


class ManifestCommitter(Committer):
    """Of the whole sink: one manifest for each checkpoint."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def commit(self, committables: Sequence[DataFile]) -> None:
        files = {file.name: file.rows for file in sorted(committables, key=lambda file: file.name)}
        name = hashlib.sha256("".join(files).encode()).hexdigest()[:16]
        partial = self._folder / f".manifest-{name}.json"
        partial.write_text(json.dumps(files))
        os.replace(partial, self._folder / f"manifest-{name}.json")  # atomic, and the same result when repeated


def listed(folder: Path) -> list[Path]:
    """The files that readers may see."""
    return [folder / name for manifest in folder.glob("manifest-*.json") for name in json.loads(manifest.read_text())]


def main(folder: Path) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(2)
    numbers = env.generate(
        lambda start, stop: pa.record_batch([pa.array(range(start, stop), pa.int64())], names=["n"]), 100_000
    )
    numbers.sink_to(ManifestSink(str(folder)))
    env.execute("numbers with manifests")

    table = pa.concat_tables(pq.read_table(path) for path in listed(folder))
    manifests = len(list(folder.glob("manifest-*.json")))
    print(f"{manifests} manifest, {table.num_rows} rows, {len(set(table['n'].to_pylist()))} numbers")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory(prefix="manifests-") as scratch:
        main(Path(scratch))
