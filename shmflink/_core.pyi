"""The native core: what Python cannot do at the speed, or with the memory ordering, that a job needs.

Descriptors are plain numbers: `open` takes ownership of the one it is given, `fileno` lends the creator's.
All classes are safe to use from any thread unless they say otherwise. No class here but ValueCell can
be inherited from.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self, final

import pyarrow as pa
from typing_extensions import disjoint_base

__all__ = [
    "Arena",
    "CsvParser",
    "Doorbell",
    "FrozenTable",
    "GroupTable",
    "Heartbeat",
    "InputGate",
    "Isolation",
    "JoinTable",
    "JsonParser",
    "LineParser",
    "ParquetColumns",
    "ParquetRange",
    "ParquetReader",
    "RecordBuffer",
    "ResultPartition",
    "RingMemory",
    "RowCodec",
    "StatusPage",
    "ValueCell",
    "WindowTable",
    "canonical_keys",
    "capitalize_words",
    "change_case",
    "csv_lines",
    "decode_bytes",
    "decode_charset",
    "encode_bytes",
    "encode_charset",
    "format_floats",
    "format_integers",
    "format_moments",
    "hex_digest",
    "inet_aton",
    "inet_ntoa",
    "is_json",
    "join_text",
    "json_array",
    "json_exists",
    "json_lines",
    "json_object",
    "json_path_check",
    "json_query",
    "json_quote",
    "json_string",
    "json_unquote",
    "json_value",
    "keep_rows",
    "key_groups",
    "key_hash",
    "months_later",
    "overlay_text",
    "pad_text",
    "parse_floats",
    "parse_integers",
    "parse_moments",
    "parse_url",
    "regex_count",
    "regex_extract",
    "regex_extract_all",
    "regex_position",
    "regex_replace",
    "regex_split",
    "regex_test",
    "replace_text",
    "set_parent_death_signal",
    "shared_columns",
    "split_part",
    "split_text",
    "substring",
    "text_end",
    "text_matches",
    "text_position",
    "translate_text",
    "trim_text",
    "url_decode",
    "url_encode",
    "window_panes",
]

# transport
#
# Memory of one attempt, doorbells, status page. Raises ResourceError when the system refuses memory,
# CorruptChannelError for memory that is not what it should be, InternalError for wrong use.

@final
class RingMemory:
    """Control memory of one TaskManager attempt: a doorbell per slot, a descriptor ring per input channel.

    Peers that produce for it map it read-write. A sealed memfd: freed with its last mapping.
    """

    @staticmethod
    def create(
        epoch: int,
        doorbells: int,
        rings: int,
        data_capacity: int,
        control_capacity: int,
        *,
        start_position: int = 0,
    ) -> RingMemory:
        """A new ring memory. Capacities are per ring: data segments in flight, and slots for control elements.

        `start_position` sets where the rings' 64-bit counters start; for tests of wrap-around.
        """

    @staticmethod
    def open(fd: int, epoch: int) -> RingMemory:
        """Maps a peer's ring memory; the descriptor is closed. Another epoch is refused."""

    def fileno(self) -> int:
        """The descriptor to pass to peers; InternalError for an opened ring memory."""

    def doorbell(self, index: int) -> Doorbell: ...
    @property
    def bytes(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def doorbells(self) -> int: ...
    @property
    def rings(self) -> int: ...

@final
class Arena:
    """Data segments of one TaskManager attempt, which only it writes; peers map it read-only."""

    @staticmethod
    def create(epoch: int, segment_bytes: int, segments: int) -> Arena:
        """A new arena, every page reserved now. `segment_bytes` is a multiple of 64.

        It must hold the exclusive segments of every output channel; the rest is the pool they share.
        """

    @staticmethod
    def open(fd: int, epoch: int) -> Arena:
        """Maps a peer's arena for reading; the descriptor is closed. Another epoch is refused."""

    def fileno(self) -> int:
        """The descriptor to pass to peers; InternalError for an opened arena."""

    @property
    def free_segments(self) -> int:
        """Segments that no channel has out; 0 for an opened arena."""

    @property
    def segment_bytes(self) -> int: ...
    @property
    def segments(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    def close(self) -> None:
        """Lets go of the memory; unmapped when the last channel and batch over it are gone. Idempotent."""

@final
class Doorbell:
    """What a slot sleeps on; see `shmflink.network.channel.Doorbell`. Keeps its ring memory mapped."""

    def prepare(self) -> int:
        """Announces the intention to sleep; returns the token of now."""

    def wait(self, token: int, timeout_ns: int, spin_ns: int = 0) -> bool:
        """Sleeps until rung after `prepare` (True) or the timeout (False; negative = none). Releases the GIL.

        Spins for `spin_ns` before it sleeps. Signal handlers run, and what they raise is raised here.
        """

    def ring(self) -> None:
        """Wakes the sleeper, or ends the next `wait` with an older token at once. Any thread, any process."""

@final
class StatusPage:
    """Words of 64 bits that one process stores and others read without asking it; each whole, in no order."""

    @staticmethod
    def create(words: int) -> StatusPage: ...
    @staticmethod
    def open(fd: int) -> StatusPage:
        """Maps a received page, for reading and writing; the descriptor is closed."""

    def fileno(self) -> int:
        """The descriptor to pass on; InternalError for an opened page."""

    @property
    def words(self) -> int: ...
    def store(self, offset: int, values: Sequence[int]) -> None: ...
    def load(self, offset: int, count: int) -> list[int]: ...

@final
class Heartbeat:
    """A thread that stores CLOCK_MONOTONIC (ns) in a word of a page every interval, without the GIL.

    The first beat is stored before the constructor returns. Start it only after the last fork.
    """

    def __new__(cls, page: StatusPage, word: int, interval_ms: int) -> Heartbeat: ...
    def stop(self) -> None:
        """Ends the thread and waits for it. Idempotent."""

def shared_columns(batch: pa.RecordBatch) -> list[int]:
    """The places of the columns of which a part lies in shared memory: in a segment, which goes back to its sender."""

def set_parent_death_signal(signal: int, expected_parent_pid: int) -> bool:
    """Has the kernel send `signal` to this process when the thread that forked it ends (PR_SET_PDEATHSIG).

    False: the parent was already gone, the signal will not come, and the caller must exit now.
    """

# exchange
#
# Record batches through channels. Raises CorruptChannelError for what a peer broke, TypeMismatchError for types that
# cannot travel or cannot be keys.

@final
class ResultPartition:
    """Producing end of one edge: rows of record batches to the open segments of its channels. Never blocks.

    `channels` are (the consumer's ring memory, ring in it, doorbell of the consumer's slot). `strategy` is FORWARD,
    REBALANCE, RESCALE (each: rows in turn over the channels given, from channel `seed` on), SHUFFLE, HASH (by
    `key_columns`, default `__key`), BROADCAST, GLOBAL or CUSTOM (by `targets`).
    """

    def __new__(
        cls,
        arena: Arena,
        channels: Sequence[tuple[RingMemory, int, Doorbell]],
        *,
        strategy: str,
        exclusive: int = 2,
        max_parallelism: int = 128,
        key_columns: list[str] | None = None,
        seed: int = 0,
    ) -> ResultPartition: ...
    def write(self, batch: pa.RecordBatch, targets: pa.Int32Array | None = None) -> bool:
        """True: all rows lie in segments. False: some wait for credit; `resume` before anything else.

        Batches of different schemas may follow each other; empty ones vanish.
        """

    def resume(self) -> bool: ...
    def flush(self) -> None: ...
    def emit_control(self, kind: int, a: int = 0, b: int = 0, c: int = 0) -> bool:
        """A control element to each channel, behind its rows. Kind 1, a watermark, replaces one that waits."""

    @property
    def is_blocked(self) -> bool: ...
    @property
    def has_pending(self) -> bool: ...
    @property
    def rows_out(self) -> int: ...
    @property
    def bytes_out(self) -> int: ...
    def close(self) -> None: ...

@final
class InputGate:
    """Consuming end of one input. `channels` are (ring in `ring_memory`, the producer's arena, doorbell of its slot).

    Each channel has `exclusive` credits; all share `floating` ones.
    """

    def __new__(
        cls,
        ring_memory: RingMemory,
        channels: Sequence[tuple[int, Arena, Doorbell]],
        *,
        exclusive: int = 2,
        floating: int = 0,
    ) -> InputGate: ...
    def poll(self) -> tuple[int, pa.RecordBatch] | tuple[int, int, int, int, int] | None:
        """(channel, batch), (channel, kind, a, b, c), or None when nothing is there; fair between channels.

        The batch's arrays lie in the segment; the last reference dropped gives it and its credit back.
        """

    def block(self, channel: int) -> None: ...
    def unblock(self, channel: int) -> None: ...
    @property
    def is_available(self) -> bool: ...
    @property
    def num_channels(self) -> int: ...
    @property
    def rows_in(self) -> int: ...
    @property
    def bytes_in(self) -> int: ...
    @property
    def retained_copies(self) -> int:
        """Batches copied because references to earlier ones held all other credits of their channel."""

    def close(self) -> None:
        """Batches handed out stay valid."""

def key_hash(columns: Sequence[pa.Array], canonical: list[bool] | None = None) -> pa.UInt64Array:
    """64-bit hash of each row over key columns of one length; `canonical[i]`: column i holds canonical key bytes."""

def key_groups(columns: Sequence[pa.Array], max_parallelism: int, canonical: list[bool] | None = None) -> pa.Int32Array:
    """Key group of each row; `max_parallelism` is 1 to 32768."""

# rows: Python rows <-> Arrow columns, keys as canonical bytes. Shapes are the tuples of `core/types/shapes.py`.

@final
class RowCodec:
    """Converts rows of one shape. Holds the GIL; runs no Python code but `convert`."""

    def __new__(cls, shape: Any, names: list[str], metadata: dict[str, str], row_class: type, insert: Any) -> RowCodec:
        """`names`: of the columns; `metadata`: of the schema; `row_class`, `insert`: Row and RowKind.INSERT."""

    def encode(self, rows: list[Any]) -> tuple[pa.RecordBatch, dict[int, list[Any]]] | None:
        """The native columns of the rows and, by position, the values of the columns that Python converts.

        None where a row would not come back exactly.
        """

    def decode(self, columns: pa.RecordBatch, others: dict[int, list[Any]]) -> list[Any]:
        """The rows of these columns; TypeError where they are not of the shape."""

    def conform(self, rows: list[Any], convert: Callable[[Any, Any], Any], narrows: bool) -> list[Any]:
        """The rows in their declared form; the same list where all are. `convert(shape, value)` does the rest.

        `narrows`: numbers beyond their type are cast as Java casts, else they go to `convert`.
        """

@final
class Isolation:
    """Tells values that others reach from those that are the receiver's own, and copies the former. For all threads."""

    def __new__(
        cls,
        row_class: type,
        insert: Any,
        immutable: frozenset[type],
        kind_of: Callable[[type], int],
        copied: Callable[[Any], Any],
    ) -> Isolation:
        """`immutable`: exact types. `copied` copies what is of no known kind.

        `kind_of(class)`: 0 immutable, 1 a tuple, 2 attributes alone, 3 the same and frozen, 4 anything else.
        """

    def isolated(self, value: Any) -> Any:
        """The value itself if it is immutable or held by nobody else, otherwise a copy."""

    def isolated_list(self, values: list[Any]) -> list[Any]:
        """The values, those that can be changed in place copied; the same list where there are none."""

    def owned_items(self, values: Any) -> Any:
        """A list, in which items that others reach are replaced by copies. Pass it as a temporary."""

    def owned_results(self, results: Iterator[Any], rows: list[Any]) -> list[Any]:
        """What the iterator yields, each taken by value before the next; a result may be the row of its place.

        A StopIteration of the user's function ends it: compare lengths.
        """

    def kept_rows(self, results: Iterator[Any], rows: list[Any]) -> tuple[list[Any], list[bool]]:
        """The rows whose result is true, each by value, and for each row whether it is; ends as `owned_results`."""

@final
class RecordBuffer:
    """The rows of one output, by value, with their timestamps, until they leave as a batch."""

    def __new__(
        cls, limit: int, isolation: Isolation | None, sides: tuple[type, Callable[[Any, Any, int], None]] | None = None
    ) -> RecordBuffer:
        """`limit`: rows at which it is full. `sides`: the tags' class, and `put_aside(tag, row, timestamp)`."""

    def __len__(self) -> int: ...
    def extend(self, emitted: Iterable[Any] | None, stamp: int) -> Iterable[Any] | None:
        """Takes what a function returned, passed as a temporary; returns what is left where the buffer is full."""

    def take(self, none: int) -> tuple[list[Any], pa.Int64Array | None]:
        """The rows and their timestamps since the last call; `none` stands for a row without one."""

def canonical_keys(keys: list[Any], canonical: Callable[[int, Any], bytes]) -> pa.RecordBatch:
    """The canonical bytes of keys as one large_binary column; `canonical(index, key)` for what is not native."""

# state

@disjoint_base
class ValueCell:
    """One value for each key of a StateTable, out and in by value."""

    def __new__(
        cls, table: Any, current: Any, absent: Any, immutable: frozenset[type], isolated: Callable[[Any], Any]
    ) -> Self:
        """`current.entry`: the key. `immutable`: exact types of what need not be copied; `isolated` copies the rest."""

    def value(self) -> Any:
        """The current value; None where there is none."""

    def update(self, value: Any) -> None:
        """Sets the value; None clears it."""

    def clear(self) -> None:
        """Removes the value."""

# joins
#
# Raises TypeMismatchError for types that cannot be keys.

@final
class JoinTable:
    """The build side of a join: rows by key, known by their number. `insert` all, `seal`, then `probe`.

    Keys with a null equal nothing. `marks`: `unmatched` is wanted. Batches hold key columns alone.
    """

    def __new__(cls, keys: pa.Schema, *, marks: bool = False) -> Self: ...
    def __len__(self) -> int: ...
    @property
    def bytes(self) -> int:
        """Memory of keys and numbers."""

    def insert(self, keys: pa.RecordBatch) -> None:
        """Appends build rows."""

    def seal(self) -> None:
        """No build rows follow."""

    def probe(
        self, keys: pa.RecordBatch, *, pairs_max: int, keeps_probe: bool = False
    ) -> tuple[pa.UInt32Array, pa.UInt32Array, int]:
        """(probe rows, build rows) that match, and of how many probe rows these are all pairs: those of a row stay
        together, and none follows when there are `pairs_max`. `keeps_probe`: with null where nothing matches.
        """

    def probe_rows(self, keys: pa.RecordBatch, *, is_anti: bool = False) -> pa.UInt32Array:
        """Probe rows that have a match, or none."""

    def unmatched(self) -> pa.UInt32Array:
        """Build rows that no probe row has matched."""

# aggregate
#
# Raises TypeMismatchError for functions, types and parameters that do not fit.

@final
class GroupTable:
    """Groups rows by key and keeps the state of some aggregates for each group.

    `arguments` are the columns that the `calls` use: (name, function, indices of its arguments, parameters, whether it
    is distinct). Batches are in one of three schemas, which all begin with the key columns. Nulls are keys, NaN is one
    key, -0.0 is 0.0. Batches are copied, not kept. Within a drain a table takes no rows.
    """

    def __new__(
        cls,
        keys: pa.Schema,
        arguments: pa.Schema,
        calls: Sequence[tuple[str, str, list[int], list[int | float | str | bool], bool]],
        *,
        tracks_changes: bool = False,
    ) -> GroupTable: ...
    def update(self, batch: pa.RecordBatch) -> None:
        """Takes rows of `input_schema`."""

    def merge(self, batch: pa.RecordBatch) -> None:
        """Takes rows of `partial_schema`: what `drain_partials` of another table of the same calls gave."""

    def ensure_group(self) -> None:
        """Makes the one group of a table without keys, if no row did."""

    def drain_partials(self, rows_max: int) -> pa.RecordBatch | None:
        """The whole state of the next groups, at most `rows_max`; None at the end, and the table is empty then."""

    def drain_results(self, rows_max: int) -> pa.RecordBatch | None:
        """The results of the next groups, as `drain_partials`."""

    def take_changed(self, rows_max: int) -> pa.RecordBatch | None:
        """Results of groups that changed since they were given last; None when all were. Needs `tracks_changes`."""

    def freeze(self, max_parallelism: int, *, is_incremental: bool = False, is_savepoint: bool = False) -> FrozenTable:
        """What it holds at this moment, for another thread; short, however much that is.

        `is_incremental`: from now on changes are remembered, and given alone where that is enough. `is_savepoint`: all
        is given, and what is remembered stays as it is.
        """

    def restore(self, batch: pa.RecordBatch) -> None:
        """Takes a batch of a `FrozenTable`, before any other rows. Changes come after what they change, in order."""

    def end_restore(self) -> None:
        """Comes after the last `restore`."""

    def clear(self) -> None: ...
    @property
    def num_groups(self) -> int: ...
    @property
    def bytes(self) -> int:
        """Memory of the groups."""

    @property
    def input_schema(self) -> pa.Schema:
        """Key columns, then arguments."""

    @property
    def partial_schema(self) -> pa.Schema:
        """Key columns, then the columns of each call's state: `name`, or `name.part` where there are several."""

    @property
    def result_schema(self) -> pa.Schema:
        """Key columns, then one column for each call."""

@final
class FrozenTable:
    """What a table held at one moment, as batches in the order of key groups. For one thread.

    ::

        key_group (int32) | key columns | __start, __end (int64) of windows | columns of calls' states | deleted (bool)

    `deleted` exists only in changes. Key and `__start` identify a window's entry; `__end` is exclusive.
    """

    def next_batch(self) -> pa.RecordBatch | None:
        """The next rows, some ten thousand of them; None at the end."""

    def saved(self, is_saved: bool) -> None:
        """Whether the batches are on disk; where not, or not yet, the table's next snapshot has them, too."""

    @property
    def is_delta(self) -> bool:
        """Whether it is changes alone, since the snapshot before."""

    @property
    def num_rows(self) -> int:
        """How many rows come, at most."""

    @property
    def schema(self) -> pa.Schema: ...

# windows
#
# Raises TypeMismatchError for what `GroupTable` does, and for times that are not int64 without nulls.

@final
class WindowTable:
    """Aggregates by key and window of time. Made by `sliding` or `sessions`.

    `keys`, `arguments`, `calls`: as of a `GroupTable`. `names`: of the result's columns for a window's start and end.
    Results have the key columns, start and end (timestamp[ms]), a column for each call and `__timestamp`, which is the
    window's greatest timestamp. All times are in milliseconds. After `update`, `merge`, `advance`: `take_results` until
    it gives None.
    """

    @staticmethod
    def sliding(
        keys: pa.Schema,
        arguments: pa.Schema,
        calls: Sequence[tuple[str, str, list[int], list[int | float | str | bool], bool]],
        names: tuple[str, str],
        *,
        size: int,
        slide: int,
        offset: int = 0,
        lateness: int = 0,
    ) -> WindowTable:
        """Windows of `size` that begin every `slide`; tumbling where both are equal."""

    @staticmethod
    def sessions(
        keys: pa.Schema,
        arguments: pa.Schema,
        calls: Sequence[tuple[str, str, list[int], list[int | float | str | bool], bool]],
        names: tuple[str, str],
        *,
        gap: int,
        lateness: int = 0,
    ) -> WindowTable:
        """Rows of a key that follow each other within `gap`."""

    def update(self, batch: pa.RecordBatch, timestamps: pa.Int64Array) -> pa.Int64Array | None:
        """Takes rows: keys, then arguments. The numbers of those that came too late for all their windows, if any."""

    def merge(self, batch: pa.RecordBatch, timestamps: pa.Int64Array) -> pa.Int64Array | None:
        """Takes partial rows of a `GroupTable`, as `update`; their timestamps lie in their panes."""

    def advance(self, watermark: int) -> None:
        """Windows are due whose greatest timestamp the watermark has reached."""

    def take_results(self, rows_max: int) -> pa.RecordBatch | None:
        """The next results, of windows that are due and of those that late rows changed; None when all were given."""

    def freeze(self, max_parallelism: int, *, is_incremental: bool = False, is_savepoint: bool = False) -> FrozenTable:
        """What it holds at this moment, for another thread; short, however much that is.

        `is_incremental`: from now on changes are remembered, and given alone where that is enough. `is_savepoint`: all
        is given, and what is remembered stays as it is.
        """

    def restore(self, batch: pa.RecordBatch) -> None:
        """Takes a batch of a `FrozenTable`, before any other rows. Changes come after what they change, in order."""

    def end_restore(self, fired: Sequence[tuple[int, int, int]], watermark: int, max_parallelism: int) -> None:
        """Comes after the last `restore`; rows are late at `watermark`.

        `fired`: first and past-the-end key group, and the greatest timestamp of their windows that had left.
        """

    @property
    def next_due(self) -> int | None:
        """The time from which on `advance` finds something, or has to look again; None where nothing is open."""

    @property
    def fired_until(self) -> int:
        """Windows with a greatest timestamp up to this have left."""

    def fired_ranges(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """What `end_restore` needs to know of the key groups from `start` to below `stop`."""

    @property
    def num_groups(self) -> int: ...
    @property
    def bytes(self) -> int:
        """Memory of all that is kept."""

def window_panes(timestamps: pa.Int64Array, size: int, slide: int, offset: int = 0) -> pa.Int64Array:
    """The start of the pane of each timestamp; a window is made of whole panes."""

# parquet_files
#
# The usual Parquet files of this host: flat columns of the expected types, not compressed or by snappy. The GIL is
# released. A range and its columns keep the file open.

@final
class ParquetReader:
    """Opens files, remembering the footers of the last four. Threads may share it."""

    def __new__(cls, schema: pa.Schema, *, has_bounds: bool) -> ParquetReader:
        """`schema` are all columns that are read, by name, in any order; of no other type will files be opened.
        `has_bounds`: statistics of row groups will be asked for.
        """

    def open(self, path: str, offset: int, length: int) -> ParquetRange | None:
        """The row groups that begin in bytes [offset, offset + length). None: not a usual file, or unreadable."""

@final
class ParquetRange:
    """Row groups of an open file."""

    @property
    def groups(self) -> list[tuple[int, int, int, int]]:
        """Number, first byte and first row in the file, rows."""

    @property
    def names(self) -> list[str]:
        """All columns of the file."""

    @property
    def row_bytes(self) -> float:
        """What a row of all columns takes in memory, about."""

    def bounds(self, name: str) -> tuple[pa.Array, pa.Array, pa.UInt64Array] | None:
        """Smallest and largest value and number of nulls in each of the row groups, null where the file does not say.

        None: it says so in an order that is not the values'. KeyError for a column that is not in the schema.
        """

    def read(
        self, names: Sequence[str], groups: Sequence[int], batch_rows: int, *, keeps_dictionaries: bool = False
    ) -> ParquetColumns:
        """Columns of row groups, by number, in this order. KeyError as above, ValueError for a corrupt file.

        `batch_rows`: about what `take` will be asked for. `keeps_dictionaries`: texts come as dictionaries (of 32-bit
        indices) where those are small in the file and all rows of a batch are of one.
        """

@final
class ParquetColumns:
    """Some columns of row groups, read from front to back."""

    def skip(self, rows: int) -> None: ...
    def take(self, rows: int, mask: pa.BooleanArray | None = None) -> pa.RecordBatch:
        """The next `rows` rows, those alone whose mask is true (null is not). ValueError where the file is corrupt."""

# parse
#
# Text to columns. A parser keeps nothing between two calls and can be used by several threads. The buffer that it is
# given must not be changed during a call; it is not kept.

@final
class CsvParser:
    """Reads CSV records into columns of a schema. Knows no files: the caller brings text and takes the rest back."""

    def __new__(
        cls,
        schema: pa.Schema,
        sources: Sequence[int],
        fields: int,
        *,
        delimiter: int,
        quote: int | None,
        escape: int | None,
        double_quotes: bool,
        comment: int | None,
        quoted_newlines: bool,
        null_values: Sequence[bytes],
        true_values: Sequence[bytes],
        false_values: Sequence[bytes],
        timestamp_formats: Sequence[str],
        decimal_point: int,
    ) -> CsvParser:
        """`sources`: the field of a record for each column, -1 for one that the file lacks; `fields`: of a record.

        Characters are given as bytes. Raises ValueError for types and formats that text cannot be read into.
        """

    def parse(
        self,
        text: bytes | bytearray | memoryview,
        start: int,
        end: int,
        *,
        limit: int,
        is_last: bool,
        max_rows: int,
    ) -> tuple[pa.RecordBatch, int, list[tuple[int, int, int, str]]]:
        """Reads the records in `text[start:end]`, which starts at the start of a record and is less than 2 GiB.

        Stops at the first record that starts at `limit` or later, after `max_rows`, or before one that is not
        complete; with `is_last`, nothing follows and the last record needs no line end. Gives the good records,
        how many bytes were read, and the malformed records as (start, end, column or -1, reason), places counted
        from `start`.
        """

    def infer(
        self, text: bytes | bytearray | memoryview, start: int, end: int, *, is_last: bool, max_rows: int
    ) -> tuple[int, list[str]]:
        """How many good records `text[start:end]` begins with, `max_rows` at most, and the type of each field: `null`,
        `int64`, `bool`, `uint64`, `decimal` (whole, of 38 digits), `double`, `date`, `timestamp[us]` or `[ns]` or
        these with `, UTC`, `string`; the first that takes all values.
        """

    def first_record(
        self, text: bytes | bytearray | memoryview, start: int, end: int, *, is_last: bool
    ) -> tuple[list[bytes], int] | None:
        """The fields of the first record that is not blank, and where in `text` it ends; None where it does not."""

@final
class JsonParser:
    """Reads lines that are JSON objects into columns of a schema, nested ones too. As `CsvParser`."""

    def __new__(
        cls,
        schema: pa.Schema,
        *,
        missing_fails: bool,
        extra_fails: bool,
        known_keys: Sequence[str],
        timestamp_formats: Sequence[str],
    ) -> JsonParser:
        """`missing_fails`, `extra_fails`: lines without a key of the schema, or with other keys, are malformed.

        `known_keys` of lines are not among these others.

        Raises ValueError for types and formats that JSON cannot be read into.
        """

    def parse(
        self,
        text: bytes | bytearray | memoryview,
        start: int,
        end: int,
        *,
        limit: int,
        is_last: bool,
        max_rows: int,
    ) -> tuple[pa.RecordBatch, int, list[tuple[int, int, int, str]]]:
        """As `CsvParser.parse`; a record is a line."""

@final
class LineParser:
    """Reads lines (ended by LF, CR LF or CR) into one column of strings. As `CsvParser`."""

    def __new__(cls, schema: pa.Schema) -> LineParser:
        """`schema` has one column, of strings, and keeps its metadata. Raises ValueError for another."""

    def parse(
        self,
        text: bytes | bytearray | memoryview,
        start: int,
        end: int,
        *,
        limit: int,
        is_last: bool,
        max_rows: int,
    ) -> tuple[pa.RecordBatch, int, list[tuple[int, int, int, str]]]:
        """As `CsvParser.parse`; lines that are not UTF-8 are malformed."""

# text
#
# Columns as lines, in bytes. The GIL is released. A column of a type without a text form (durations, intervals,
# unions) is a TypeMismatchError. Timestamps as `2020-12-30 12:13:14.5` (`T` in place of the space: `iso_timestamps`),
# with `Z` behind where the column has a time zone; bytes as base64; floats as the shortest text that reads back.

def json_lines(batch: pa.RecordBatch, *, iso_timestamps: bool = False, omit_nulls: bool = False) -> bytes:
    """One JSON object and LF for each row. NaN and infinities are null, keys of maps are strings."""

def csv_lines(
    batch: pa.RecordBatch,
    *,
    delimiter: int,
    quote: int,
    quoting: str,
    null_text: str,
    crlf: bool = False,
    iso_timestamps: bool = False,
    header: bool = False,
) -> bytes:
    """One line for each row, or the header line alone. Nested values are JSON text.

    `delimiter` and `quote` are the numbers of ASCII characters, `quoting` is `minimal`, `all` or `none`.
    Raises DataFormatError for a cell that needs quotes where there are none.
    """

# functions
#
# Kernels of expressions: one array in, one of equal length out, null where the value is. `texts` are `pa.string()`.
# The GIL is released. ValueError for a value that cannot be taken, TypeError for a type or a pattern that cannot.

def keep_rows(batch: pa.RecordBatch, mask: pa.BooleanArray) -> pa.RecordBatch:
    """The rows whose mask is true; null is not. Dictionaries stay as they are."""

def format_moments(moments: pa.Array, per_second: int, pattern: str) -> pa.Array:
    """Ticks since 1970 (int64), `per_second` of them, by a pattern of Java's `DateTimeFormatter`."""

def months_later(days: pa.Array, months: pa.Array) -> pa.Array:
    """Days since 1970, this many months later: the same day of the month or its last. All int64; nulls are ignored."""

def parse_moments(
    texts: pa.Array,
    per_second: int,
    *,
    pattern: str | None = None,
    is_time: bool = False,
    is_strict: bool = False,
    cast: str | None = None,
) -> pa.Array:
    """Text as ticks since 1970 (of a time: since midnight), int64; by a pattern, or as ISO 8601.

    `cast`: as Flink's CAST reads a "date", "time" or "timestamp". Text that does not fit is null, or a ValueError where
    strict.
    """

def hex_digest(values: pa.Array, algorithm: str) -> pa.Array:
    """Lower-case hexadecimal digits of `md5`, `sha1`, `sha224`, `sha256`, `sha384` or `sha512` of strings or binary."""

def url_encode(texts: pa.Array) -> pa.Array:
    """As `application/x-www-form-urlencoded`, of UTF-8."""

def url_decode(texts: pa.Array) -> pa.Array:
    """The reverse of `url_encode`; null for a broken escape or invalid UTF-8."""

def parse_url(texts: pa.Array, part: str, key: str | None = None) -> pa.Array:
    """PROTOCOL, AUTHORITY, USERINFO, HOST, PATH, FILE, QUERY (or one key's value) or REF; null where there is none."""

def inet_aton(texts: pa.Array) -> pa.Array:
    """IPv4 addresses as int64, also MySQL's short forms; null for other text."""

def inet_ntoa(numbers: pa.Array) -> pa.Array:
    """int64 as IPv4 addresses; null outside of 32 bits."""

def json_path_check(path: str) -> None:
    """TypeError, saying what is wrong, for a path that the JSON functions do not take."""

def is_json(texts: pa.Array, kind: str) -> pa.Array:
    """Whether each is JSON of the kind `value`, `scalar`, `array` or `object`. Nulls are not."""

# The next three give also a status for each row, as uint8: 0 fine, 1 empty (ON EMPTY), 2 an error (ON ERROR).

def json_exists(texts: pa.Array, path: str) -> tuple[pa.Array, pa.Array]:
    """Whether the path leads to a value."""

def json_value(texts: pa.Array, path: str, kind: str) -> tuple[pa.Array, pa.Array]:
    """Scalars as `string`, `boolean`, `int32`, `int64` or `float64`."""

def json_query(texts: pa.Array, path: str, wrapper: str) -> tuple[pa.Array, pa.Array]:
    """JSON text; an array around it: `without`, `conditional` (unless it is one) or `unconditional`."""

def json_quote(texts: pa.Array) -> pa.Array:
    """Strings as JSON strings."""

def json_unquote(texts: pa.Array) -> pa.Array:
    """JSON strings as what they say; text without quotes as it is."""

def json_object(keys: list[str], columns: list[pa.Array], raw: list[bool], omits_nulls: bool) -> pa.Array:
    """An object for each row. `raw` columns hold JSON text."""

def json_array(columns: list[pa.Array], raw: list[bool], omits_nulls: bool) -> pa.Array:
    """An array for each row. `raw` columns hold JSON text."""

def json_string(values: pa.Array) -> pa.Array:
    """Each value as JSON."""

# functions/strings: kernels of string expressions
#
# A column of one row stands for all `rows`: a constant. Strings are `pa.string()`, numbers int64. Null where an
# argument is. Positions count code points from 1. The GIL is released. ValueError for an invalid regular expression.

def split_text(texts: pa.Array, separator: str | None = None) -> pa.ListArray:
    """A list of the parts between separators: one part where there is none. An empty separator parts the characters;
    None: runs of ASCII white space, without empty parts."""

def split_part(texts: pa.Array, separator: pa.Array, index: pa.Array, rows: int) -> pa.StringArray:
    """Part `index`, from 0, of each string between separators; null where there is none, or the string is empty."""

def substring(texts: pa.Array, begin: pa.Array, length: pa.Array | None, rows: int) -> pa.StringArray:
    """The part from `begin`, from the end where it is negative; null for a negative length."""

def text_end(texts: pa.Array, length: pa.Array, is_left: bool, rows: int) -> pa.StringArray:
    """The first or the last code points."""

def join_text(separator: pa.Array, texts: Sequence[pa.Array], rows: int) -> pa.StringArray:
    """The strings of a row that are not null, with separators between them; null where the separator is."""

def pad_text(texts: pa.Array, length: pa.Array, padding: pa.Array, is_left: bool, rows: int) -> pa.StringArray:
    """Padded, or cut, to a length; null for a negative length or an empty padding."""

def overlay_text(
    texts: pa.Array, replacement: pa.Array, start: pa.Array, length: pa.Array | None, rows: int
) -> pa.StringArray:
    """`length` code points from `start` replaced; without a length, as many as the replacement has."""

def text_matches(texts: pa.Array, others: pa.Array, place: str, rows: int) -> pa.BooleanArray:
    """Whether each string has another at its `start`, its `end` or `anywhere`."""

def text_position(texts: pa.Array, needles: pa.Array, from_: pa.Array, rows: int) -> pa.Int32Array:
    """Position of the first occurrence of a needle from a position on; 0: there is none."""

def replace_text(texts: pa.Array, search: pa.Array, replacement: pa.Array, rows: int) -> pa.StringArray:
    """All occurrences replaced."""

def translate_text(texts: pa.Array, from_: pa.Array, to: pa.Array, rows: int) -> pa.StringArray:
    """Letters of `from_` replaced by those of `to` at the same place; those without one go."""

def trim_text(texts: pa.Array, letters: pa.Array, is_leading: bool, is_trailing: bool, rows: int) -> pa.StringArray:
    """Without any of these letters at the start and the end, as asked."""

def change_case(texts: pa.Array, is_upper: bool) -> pa.StringArray:
    """All letters in upper or lower case."""

def capitalize_words(texts: pa.Array) -> pa.StringArray:
    """Each run of letters and digits with its first letter in upper case and the others in lower case."""

def regex_test(texts: pa.Array, pattern: pa.Array, rows: int) -> pa.BooleanArray:
    """Whether some part matches."""

def regex_count(texts: pa.Array, pattern: pa.Array, rows: int) -> pa.Int32Array:
    """How many parts match."""

def regex_position(texts: pa.Array, pattern: pa.Array, rows: int) -> pa.Int32Array:
    """Position of the first part that matches; 0: there is none."""

def regex_extract(texts: pa.Array, pattern: pa.Array, group: pa.Array, rows: int) -> pa.StringArray:
    """Group `group` (0: all) of the first part that matches; null where there is none."""

def regex_extract_all(texts: pa.Array, pattern: pa.Array, group: pa.Array, rows: int) -> pa.ListArray:
    """Group `group` of all parts that match; null for no such group."""

def regex_replace(texts: pa.Array, pattern: pa.Array, replacement: pa.Array, rows: int) -> pa.StringArray:
    """All parts that match replaced by the text as it is."""

def regex_split(texts: pa.Array, pattern: pa.Array, limit: int, rows: int) -> pa.ListArray:
    """Parts between matches, as Java's `String.split`: at most `limit`; 0: all, without empty ones at the end."""

def parse_integers(texts: pa.Array) -> pa.Int64Array:
    """Whole numbers, a fraction cut; null where it is none."""

def parse_floats(texts: pa.Array) -> pa.DoubleArray:
    """Floats as Java reads them; null where it is none."""

def format_floats(numbers: pa.Array) -> pa.StringArray:
    """float32 or float64 as Java's `toString` writes them."""

def format_integers(numbers: pa.Array, digit_bits: int) -> pa.StringArray:
    """int64 in upper-case digits of 1 to 4 bits, two's complement."""

def encode_bytes(values: pa.Array, form: str) -> pa.StringArray:
    """Binary, or strings as UTF-8, in `base64` or `hex`."""

def decode_bytes(values: pa.Array, form: str) -> pa.BinaryArray:
    """The bytes of `base64` or `hex`; null where the text is none."""

def encode_charset(texts: pa.Array, charset: str) -> pa.BinaryArray:
    """Strings in one of Java's six standard character sets, `?` for letters it does not have."""

def decode_charset(values: pa.Array, charset: str) -> pa.StringArray:
    """Bytes of such a character set as strings, U+FFFD for bytes that mean nothing."""
