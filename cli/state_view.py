"""The output of `shmflink state`."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from shmflink.checkpoint.handles import StateFile
from shmflink.checkpoint.keyed_tables import is_pickled, keyed_state_infos, keyed_table, readable
from shmflink.checkpoint.manifest import Manifest, OperatorState, files_of
from shmflink.checkpoint.reading import checkpoint_directory, load_manifest, read_file
from shmflink.errors import CheckpointCorruptedError, ShmflinkError, UsageError

from .numbers import count, size

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["list_states", "read_state", "verify_files"]

_SHOWN: Final = 50  # rows of a table on a terminal
_ENDINGS: Final = {".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow", ".json": "json", ".jsonl": "json"}
_HEADINGS: Final = ("OPERATOR", "SUBTASKS", "STATE", "KIND", "TYPE", "ROWS", "BYTES", "FILES")


def list_states(path: str, *, as_json: bool) -> int:
    """Prints operators and states; returns the exit code."""
    try:
        directory = checkpoint_directory(path)
        manifest = load_manifest(directory)
        operators = [_operator_as_dict(directory, operator) for operator in manifest.operators]
    except ShmflinkError as error:
        return _refuse(error)
    if as_json:
        document = {**_head(manifest), "path": directory, "operators": operators}
        sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
        return 0
    head = _head(manifest)
    taken = datetime.fromtimestamp(manifest.timestamp_ms / 1000, UTC)
    sys.stdout.write(
        f"{manifest.kind} {manifest.checkpoint_id} of job '{manifest.job_name}' ({manifest.job_id}), "
        f"{taken:%Y-%m-%d %H:%M:%S} UTC{', unaligned' if manifest.is_unaligned else ''}\n"
        f"{size(head['bytes'])} in {head['files']} files; maximum parallelism "
        f"{', '.join(map(str, sorted(set(manifest.max_parallelisms.values())))) or '-'}\n\n"
    )
    _print_columns(_HEADINGS, [row for operator in operators for row in _rows_of(operator)])
    return 0


def read_state(
    path: str,
    operator: str,
    state: str | None,
    file_format: str | None,
    output: Path | None,
    limit: int | None,
    *,
    unpickle: bool,
) -> int:
    """Prints or writes the entries of a state; returns the exit code."""
    try:
        directory = checkpoint_directory(path)
        found = _operator(load_manifest(directory), operator)
        table = keyed_table(directory, found, _state(found, state))
        hides_pickles = is_pickled(table) and not unpickle
        total = table.num_rows
        table = readable(table if limit is None else table.slice(0, limit), unpickle=unpickle)
        kind = file_format or (_ENDINGS.get(output.suffix, "table") if output else "table")
        _write(table, kind, output, total)
    except (ShmflinkError, OSError) as error:
        return _refuse(error)
    if hides_pickles:
        sys.stderr.write(
            "Some values are pickled; --unpickle loads them, which runs code: use it only if you trust it.\n"
        )
    return 0


def verify_files(path: str) -> int:
    """Checks all files, and those that sinks have staged, and prints every bad one; returns the exit code."""
    from .staged_files import lost_files

    try:
        directory = checkpoint_directory(path)
        manifest = load_manifest(directory)
    except ShmflinkError as error:
        return _refuse(error)
    files = list(dict.fromkeys(files_of(manifest)))
    bad = 0
    for file in files:
        try:
            read_file(directory, file)
        except CheckpointCorruptedError as error:
            bad += 1
            sys.stderr.write(f"{error}\n")
    total = size(sum(file.length for file in files))
    lost = lost_files(directory, manifest)
    sys.stderr.writelines(f"{text}\n" for text in lost)
    if bad:
        sys.stderr.write(f"{bad} of {len(files)} files are damaged\n")
    if lost:
        sys.stderr.write(f"{len(lost)} files that sinks have staged are missing: the job cannot resume from here\n")
    if bad or lost:
        return 1
    sys.stdout.write(f"{directory}: all {len(files)} files are complete and unchanged ({total})\n")
    return 0


def _refuse(error: Exception) -> int:
    sys.stderr.write(f"{type(error).__name__}: {error}\n")
    return 1


def _head(manifest: Manifest) -> dict[str, Any]:
    files = list(dict.fromkeys(files_of(manifest)))
    return {
        "kind": manifest.kind,
        "checkpoint_id": manifest.checkpoint_id,
        "job_id": manifest.job_id,
        "job_name": manifest.job_name,
        "timestamp_ms": manifest.timestamp_ms,
        "is_unaligned": manifest.is_unaligned,
        "bytes": sum(file.length for file in files),
        "files": len(files),
    }


def _operator_as_dict(directory: str, operator: OperatorState) -> dict[str, Any]:
    states: list[dict[str, Any]] = [
        {
            "name": info.name,
            "kind": info.kind or "keyed",
            "type": info.type_text,
            "rows": info.rows,
            "bytes": info.bytes,
            "files": info.files,
        }
        for info in keyed_state_infos(directory, operator)
    ]
    others: dict[str, list[StateFile | None]] = {
        "operator state": [subtask.operator_state for subtask in operator.subtasks],
        "broadcast state": [subtask.broadcast_state for subtask in operator.subtasks],
        "in flight": [channel.file for subtask in operator.subtasks for channel in subtask.channels],
        "coordinator": [operator.coordinator],
    }
    for kind, candidates in others.items():
        files = [file for file in candidates if file is not None]
        if files:
            rows = sum(file.rows for file in files) if kind == "in flight" else None
            total = sum(file.length for file in files)
            states.append({"name": None, "kind": kind, "rows": rows, "bytes": total, "files": len(files)})
    return {
        "operator_id": operator.operator_id,
        "uid": operator.uid,
        "name": operator.name,
        "parallelism": operator.parallelism,
        "max_parallelism": operator.max_parallelism,
        "is_finished": operator.is_finished,
        "states": states,
    }


def _rows_of(operator: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    uid = operator["uid"] or operator["operator_id"][:8]
    title = uid if uid == operator["name"] else f"{uid} ({operator['name']})"
    subtasks = f"{operator['parallelism']}{' ended' if operator['is_finished'] else ''}"
    if not operator["states"]:
        yield (title, subtasks, "-", "", "", "", "", "")
    for number, state in enumerate(operator["states"]):
        yield (
            title if number == 0 else "",
            subtasks if number == 0 else "",
            state["name"] or "-",
            state["kind"],
            state.get("type", ""),
            "" if state["rows"] is None else count(state["rows"]),
            size(state["bytes"]),
            str(state["files"]),
        )


def _operator(manifest: Manifest, wanted: str) -> OperatorState:
    for matches in (
        [op for op in manifest.operators if op.uid == wanted],
        [op for op in manifest.operators if op.name == wanted],
        [op for op in manifest.operators if wanted and op.operator_id.startswith(wanted.lower())],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            ids = ", ".join(op.operator_id[:12] for op in matches)
            raise UsageError(f"{len(matches)} operators are named '{wanted}': give the beginning of an id: {ids}")
    known = ", ".join(f"{op.uid or op.operator_id[:8]} ({op.name})" for op in manifest.operators) or "none"
    raise UsageError(f"there is no operator '{wanted}'; known operators: {known}")


def _state(operator: OperatorState, wanted: str | None) -> str:
    names = list(dict.fromkeys(keyed.name for subtask in operator.subtasks for keyed in subtask.keyed))
    if wanted is not None:
        return wanted
    if len(names) == 1:
        return names[0]
    listed = ", ".join(names)
    raise UsageError(
        f"operator '{operator.name}' has the keyed states {listed}: choose one with --state"
        if names
        else f"operator '{operator.name}' has no keyed state"
    )


def _write(table: pa.Table, kind: str, output: Path | None, total: int) -> None:
    import pyarrow as pa

    if kind == "table":
        _write_table(table, output, total)
    elif kind == "json":
        lines = b"".join(_json_lines(table))
        _write_bytes(lines, output)
    elif kind == "parquet":
        import pyarrow.parquet as pq

        if output is None:
            raise UsageError("Parquet needs a file: name it with --output FILE")
        pq.write_table(table, str(output))
    else:
        out = pa.BufferOutputStream()
        with pa.ipc.new_file(out, table.schema) as stream:
            stream.write_table(table)
        _write_bytes(out.getvalue().to_pybytes(), output)


def _write_bytes(data: bytes, output: Path | None) -> None:
    if output is not None:
        output.write_bytes(data)
        return
    sys.stdout.buffer.write(data)


def _json_lines(table: pa.Table) -> Iterator[bytes]:
    for batch in table.to_batches(max_chunksize=4096):
        for row in batch.to_pylist(maps_as_pydicts="lossy"):  # a loop per row: JSON has no columns
            yield orjson.dumps(row, default=_as_json, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)


def _as_json(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _write_table(table: pa.Table, output: Path | None, total: int) -> None:
    shown = table if output is not None else table.slice(0, _SHOWN)
    rows = [tuple(_cell(value) for value in row.values()) for row in shown.to_pylist(maps_as_pydicts="lossy")]
    lines = [*_columns(tuple(table.column_names), rows)]
    if shown.num_rows < total:
        lines.append(f"... {total} entries; --limit, --format json or --output FILE show more")
    text = "".join(f"{line}\n" for line in lines)
    _write_bytes(text.encode(), output)


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _print_columns(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in _columns(headings, rows)))


def _columns(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in (headings, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
