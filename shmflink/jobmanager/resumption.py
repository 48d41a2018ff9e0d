"""The notice when a job from the HA directory resumes: from which checkpoint, how old it is, what has changed."""

from __future__ import annotations

import shlex

from shmflink.checkpoint.reading import load_manifest
from shmflink.errors import CheckpointError
from shmflink.jobmanager.admission import Admission

__all__ = ["resumption_text"]


def resumption_text(admission: Admission, now_ms: int) -> str:
    """`resumes from checkpoint 7 (/c/chk-7), 12 s old`; empty for a new job. Reads the checkpoint's metadata.

    `now_ms`: wall-clock time, like the checkpoint's own time.
    """
    if not admission.is_kept:
        return ""
    text = _from_where(admission, now_ms)
    before, now = admission.arguments_before, admission.submission.arguments
    if before is None or now is None or before == now:
        return text
    return (
        f"{text}. The program's arguments were {_quoted(before)} and are now {_quoted(now)}: the job keeps its "
        "previous state and its positions in the sources; for a new job, set another high-availability.cluster-id"
    )


def _from_where(admission: Admission, now_ms: int) -> str:
    for directory in admission.pointers:
        try:
            manifest = load_manifest(directory)
        except CheckpointError:  # reported when the job skips it
            continue
        age = _age(now_ms, manifest.timestamp_ms)
        return f"resumes from {manifest.kind} {manifest.checkpoint_id} ({directory}), {age}"
    if admission.pointers:
        return "resumes, but none of its checkpoints can be read"
    return "is in the HA directory without a complete checkpoint: it starts from the beginning"


def _age(now_ms: int, then_ms: int) -> str:
    """The age in the largest unit of which there are at least two; 0 if the clock was set back."""
    seconds = max(now_ms - then_ms, 0) // 1000
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit} old"
    return f"{seconds} s old"


def _quoted(arguments: tuple[str, ...]) -> str:
    return f"`{shlex.join(arguments)}`" if arguments else "none"
