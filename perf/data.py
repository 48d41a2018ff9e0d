"""The files that cases read: made here, the same every time, kept in a cache folder until `python -m perf clean`.

Every data set is written one piece at a time, so memory does not grow with its size, into a temporary name that is
renamed when it is whole. A piece is seeded by its number: a larger data set begins with the rows of a smaller one.

| data set | rows | what |
|---|---|---|
| `events_1k`, `events_100k`, `events_5m` | 20 M | Parquet, six columns, so many distinct keys |
| `events_skew` | 20 M | the same with 100,000 keys, half of all rows having one of them |
| `events_string` | 20 M | the same with 100,000 keys that are strings |
| `events_100m` | 100 M | `events_100k` five times, by hard links |
| `csv_1k`, `csv_100k`, `csv_5m`, `jsonl_100k` | 5 M | the same rows as text |
| `small_files` | 10 M | Parquet, 5,000 files |
| `wide` | 10 M | Parquet, 200 columns |
| `text` | 67 M words | lines of ten words |
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

__all__ = ["DATASETS", "Dataset", "cache_folder", "clean", "ensure", "made", "warm"]

VERSION: Final = 1
"""Part of every folder's name: raise it where the rows change."""

SEED: Final = 20_250_101
FIRST_MS: Final = 1_735_689_600_000  # 2025-01-01 00:00:00 UTC
SPAN_MS: Final = 20_000  # two buckets of 10 s, whatever the number of rows
JITTER_MS: Final = 500
PIECE_ROWS: Final = 1_000_000
WIDE_COLUMNS: Final = 200
WIDE_PIECE_ROWS: Final = 200_000
WORDS_PER_LINE: Final = 10
VOCABULARY: Final = 50_000
FREE_FACTOR: Final = 1.5
"""This many times a data set's estimated size must be free on the disk, for it and for the engines' output."""

Piece = Callable[["Dataset", int, int, int], pa.Table]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A folder of files of one format. `rows` is the full size; smoke mode and `--scale` make smaller ones."""

    name: str
    format: str  # parquet, csv, jsonl, txt
    rows: int
    smoke_rows: int
    files: int
    row_bytes: int  # on disk, roughly
    keys: int = 1
    piece: Piece = field(default=lambda *_: pa.table({}), repr=False)
    piece_rows: int = PIECE_ROWS
    links: tuple[str, int] | None = None  # (data set, how many times)

    def rows_at(self, scale: float, smoke: bool) -> int:
        """How many rows it has at this size."""
        return self.smoke_rows if smoke else max(1000, int(self.rows * scale))

    def files_at(self, smoke: bool) -> int:
        """How many files; few in smoke mode."""
        return max(2, self.files // 100) if smoke and self.files > 20 else min(self.files, 2) if smoke else self.files


def cache_folder() -> Path:
    """Where data sets are kept: `$XDG_CACHE_HOME/shmflink/perf`, `~/.cache` where that is not set."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "shmflink" / "perf"


def clean(cache: Path) -> int:
    """Removes all data sets and outputs; the bytes that were in them."""
    size = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file()) if cache.is_dir() else 0
    shutil.rmtree(cache, ignore_errors=True)
    return size


def ensure(name: str, cache: Path, scale: float, smoke: bool) -> Path:
    """The folder of a data set, made now where it is missing.

    Raises:
        OSError: not enough space on the disk; the message says how much there would have to be.
    """
    dataset = DATASETS[name]
    rows = dataset.rows_at(scale, smoke)
    size = 0 if dataset.links else rows * dataset.row_bytes

    def write(folder: Path) -> None:
        if dataset.links is None:
            _write(dataset, folder, rows, dataset.files_at(smoke))
        else:
            _link(dataset.links, folder, cache, scale, smoke)

    return made(cache / f"{name}-{rows}-v{VERSION}", size, write)


def made(folder: Path, size: int, write: Callable[[Path], None]) -> Path:
    """The folder, written now where it is missing: whole or not there. `size` is about what it takes, in bytes.

    Raises:
        OSError: not enough space on the disk; the message says how much there would have to be.
    """
    if folder.is_dir():
        return folder
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        _require_space(folder, size)
        write(unfinished)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def warm(folder: Path) -> int:
    """Reads all files once, so that they are in the page cache. How many bytes they have."""
    size = 0
    for path in sorted(folder.rglob("*")):
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(1 << 22):
                size += len(piece)
    return size


def _require_space(folder: Path, size: int) -> None:
    cache, name = folder.parent, folder.name.rpartition("-v")[0].rpartition("-")[0]
    free = shutil.disk_usage(cache).free
    wanted = int(size * FREE_FACTOR)
    if free < wanted:
        raise OSError(
            f"{cache}: {free / 1e9:.1f} GB free, {wanted / 1e9:.1f} GB wanted for the data set {name}. "
            "Choose another disk with --data, a smaller size with --scale, or run `python -m perf clean`"
        )


def _link(links: tuple[str, int], target: Path, cache: Path, scale: float, smoke: bool) -> None:
    name, times = links
    for path in sorted(ensure(name, cache, scale, smoke).iterdir()):
        for number in range(times):
            os.link(path, target / f"{number}-{path.name}")


def _write(dataset: Dataset, folder: Path, rows: int, files: int) -> None:
    """Rows are divided evenly; piece numbers count on over the files."""
    write = {"parquet": _write_parquet, "csv": _write_csv, "jsonl": _write_jsonl, "txt": _write_text}[dataset.format]
    bounds = [rows * number // files for number in range(files + 1)]
    for number in range(files):
        path = str(folder / f"part-{number:05d}.{dataset.format}")
        write(path, _pieces(dataset, bounds[number], bounds[number + 1], rows))


def _pieces(dataset: Dataset, start: int, stop: int, total: int) -> Iterator[pa.Table]:
    for first in range(start, stop, dataset.piece_rows):
        yield dataset.piece(dataset, first, min(dataset.piece_rows, stop - first), total)


def _write_parquet(path: str, pieces: Iterator[pa.Table]) -> None:
    first = next(pieces)
    with pq.ParquetWriter(path, first.schema, compression="snappy") as writer:
        for piece in chain([first], pieces):
            writer.write_table(piece, row_group_size=PIECE_ROWS)


def _write_csv(path: str, pieces: Iterator[pa.Table]) -> None:
    """No header, because Flink cannot skip one; nothing needs quotes."""
    options = pa.csv.WriteOptions(include_header=False, quoting_style="none")
    with open(path, "wb") as file:
        for piece in pieces:
            pa.csv.write_csv(piece, file, options)


def _write_jsonl(path: str, pieces: Iterator[pa.Table]) -> None:
    with open(path, "wb") as file:
        for piece in pieces:
            _write_lines(file, _json_lines(piece))


def _write_text(path: str, pieces: Iterator[pa.Table]) -> None:
    with open(path, "wb") as file:
        for piece in pieces:
            _write_lines(file, piece["line"].combine_chunks())


def _write_lines(file: object, lines: pa.Array) -> None:
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines), "\n")
    file.write(joined[0].as_buffer())  # type: ignore[attr-defined]
    file.write(b"\n")  # type: ignore[attr-defined]


def _json_lines(piece: pa.Table) -> pa.Array:
    parts: list[pa.Array | str] = []
    for number, column in enumerate(piece.schema):
        text = piece[column.name].combine_chunks().cast(pa.string())
        quote = '"' if pa.types.is_string(column.type) or pa.types.is_timestamp(column.type) else ""
        before = "{" if number == 0 else f"{_quote_of(piece.schema.field(number - 1))}, "
        parts += [f'{before}"{column.name}": {quote}', text]
    parts.append(f"{_quote_of(piece.schema.field(piece.num_columns - 1))}}}")
    return pc.binary_join_element_wise(*parts, "")


def _quote_of(column: pa.Field) -> str:
    return '"' if pa.types.is_string(column.type) or pa.types.is_timestamp(column.type) else ""


# --- rows ---


def _random(dataset: Dataset, first: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([SEED, dataset.keys, first]))


def _events(dataset: Dataset, first: int, count: int, total: int) -> pa.Table:
    """id, ts, key, price, quantity, name: ordered by time within half a second."""
    random = _random(dataset, first)
    ids = np.arange(first, first + count, dtype=np.int64)
    jitter = random.integers(0, JITTER_MS, count)
    ts = FIRST_MS + np.minimum(ids * SPAN_MS // total + jitter, SPAN_MS - 1)
    columns = {
        "id": pa.array(ids),
        "ts": pa.array(ts, pa.timestamp("ms")),
        "key": pa.array(random.integers(0, dataset.keys, count)),
        "price": pa.array(random.integers(0, 10_000, count) / 100),
        "quantity": pa.array(random.integers(1, 11, count).astype(np.int32)),
        "name": _names("item", 10_000).take(pa.array(random.integers(0, 10_000, count))),
    }
    return pa.table(columns)


def _skewed_events(dataset: Dataset, first: int, count: int, total: int) -> pa.Table:
    table = _events(dataset, first, count, total)
    is_hot = np.random.Generator(np.random.PCG64([SEED, 7, first])).integers(0, 2, count).astype(bool)
    keys = np.where(is_hot, 4711 % dataset.keys, table["key"].to_numpy())
    return table.set_column(2, "key", pa.array(keys))


def _string_events(dataset: Dataset, first: int, count: int, total: int) -> pa.Table:
    table = _events(dataset, first, count, total)
    return table.set_column(2, "key", _names("customer", dataset.keys).take(table["key"].combine_chunks()))


def _names(prefix: str, count: int) -> pa.Array:
    """Distinct strings of differing length."""
    return pa.array([f"{prefix}-{number:x}-{'abcdefgh'[: number % 8]}" for number in range(count)])


def _wide(dataset: Dataset, first: int, count: int, total: int) -> pa.Table:
    """c000 to c199: integers and doubles in turn, 64 distinct values each."""
    del total
    random = _random(dataset, first)
    doubles = np.arange(64) * 0.25
    columns = {}
    for number in range(WIDE_COLUMNS):
        levels = random.integers(0, 64, count, dtype=np.uint8)
        columns[f"c{number:03d}"] = pa.array(doubles[levels] if number % 2 else levels.astype(np.int64))
    return pa.table(columns)


def _lines(dataset: Dataset, first: int, count: int, total: int) -> pa.Table:
    """Lines of ten words; few words are frequent, as in prose. A row of the data set is a word."""
    del total
    random = _random(dataset, first)
    weights = 1.0 / (np.arange(VOCABULARY) + 10.0)
    bounds = np.cumsum(weights / weights.sum())
    words = np.minimum(np.searchsorted(bounds, random.random(count)), VOCABULARY - 1)
    texts = _words().take(pa.array(words))
    offsets = np.append(np.arange(0, count, WORDS_PER_LINE), count).astype(np.int32)
    return pa.table({"line": pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), texts), " ")})


def _words() -> pa.Array:
    """Distinct words of 4 to 9 letters."""
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    return pa.array([_word(number, letters) for number in range(VOCABULARY)])


def _word(number: int, letters: str) -> str:
    length = 4 + (number * 7919) % 6
    number = number * 104_729 % 26**length  # coprime with 26: words of one length stay distinct
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 26)
        digits.append(letters[digit])
    return "".join(digits)


def _dataset(name: str, kind: str, rows: int, files: int, row_bytes: int, keys: int, piece: Piece) -> Dataset:
    return Dataset(name, kind, rows, 20_000, files, row_bytes, keys, piece)


_SIZES: Final = {"1k": 1_000, "100k": 100_000, "5m": 5_000_000}

DATASETS: Final[dict[str, Dataset]] = {
    dataset.name: dataset
    for dataset in (
        *(_dataset(f"events_{size}", "parquet", 20_000_000, 10, 26, keys, _events) for size, keys in _SIZES.items()),
        *(_dataset(f"csv_{size}", "csv", 5_000_000, 4, 60, keys, _events) for size, keys in _SIZES.items()),
        _dataset("jsonl_100k", "jsonl", 5_000_000, 4, 130, 100_000, _events),
        _dataset("events_skew", "parquet", 20_000_000, 10, 26, 100_000, _skewed_events),
        _dataset("events_string", "parquet", 20_000_000, 10, 30, 100_000, _string_events),
        _dataset("small_files", "parquet", 10_000_000, 5_000, 30, 1_000, _events),
        Dataset("events_100m", "parquet", 100_000_000, 100_000, 50, 0, links=("events_100k", 5)),
        Dataset("wide", "parquet", 10_000_000, 2_000, 5, 160, 1, _wide, WIDE_PIECE_ROWS),
        Dataset("text", "txt", 67_000_000, 100_000, 4, 8, 1, _lines),
    )
}
