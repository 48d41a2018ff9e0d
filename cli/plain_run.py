"""`shmflink run` without typer, whose import takes as long as the start of a cluster. Parses correct command lines
only.

`main` declares the options, prints help and reports mistakes; a test compares its table with the one here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from .arguments import arranged
from .invocation import Invocation, python_settings, recovery_settings, target_settings

__all__ = ["PARAMETERS", "plain_run"]

PARAMETERS: Final = {
    **dict.fromkeys(("-py", "--python"), "python"),
    "--slots": "slots",
    **dict.fromkeys(("-p", "--parallelism"), "parallelism"),
    "-D": "settings",
    **dict.fromkeys(("--config", "--configDir"), "config"),
    "--json": "summary",
    **dict.fromkeys(("-s", "--fromSavepoint", "--from-savepoint"), "from_savepoint"),
    **dict.fromkeys(("-n", "--allowNonRestoredState", "--allow-non-restored-state"), "allow_non_restored_state"),
    "--trust-pickled-state": "trust_pickled_state",
    **dict.fromkeys(("-cm", "--claimMode", "--claim-mode", "-rm", "--restoreMode"), "claim_mode"),
    **dict.fromkeys(("-pyfs", "--pyFiles"), "python_files"),
    **dict.fromkeys(("-pyreq", "--pyRequirements"), "python_requirements"),
    **dict.fromkeys(("-pyarch", "--pyArchives"), "python_archives"),
    **dict.fromkeys(("-pyexec", "--pyExecutable"), "python_executable"),
    **dict.fromkeys(("-pyclientexec", "--pyClientExecutable"), "python_client_executable"),
    "--pyflink": "is_pyflink",
    **dict.fromkeys(("-m", "--jobmanager"), "jobmanager"),
    **dict.fromkeys(("-t", "--target"), "target"),
    **dict.fromkeys(("-d", "--detached"), "detached"),
    "--flink-python": "flink_python",
    "--emit": "emit",
    **dict.fromkeys(("-sae", "--shutdownOnAttachedExit"), "shutdown_on_attached_exit"),
    **dict.fromkeys(("-v", "--verbose"), "verbose"),
}
"""Parameters of `main.run` by option; `-pym` and `--help` are left to it."""

_FLAGS: Final = frozenset(
    {
        "allow_non_restored_state",
        "trust_pickled_state",
        "is_pyflink",
        "detached",
        "shutdown_on_attached_exit",
        "verbose",
    }
)
_COUNTS: Final = frozenset({"slots", "parallelism"})


def plain_run(words: Sequence[str]) -> Callable[[], int] | None:
    """Performs `shmflink run` with these words; returns its exit code, or None if typer must handle them (help,
    mistakes).
    """
    given = _parameters(arranged(words))
    if given is None:
        return None
    try:
        invocation = _invocation(given)
    except Exception as refusal:
        if type(refusal).__module__.startswith("typer"):
            return None
        raise

    def run() -> int:
        from .run import run_job

        return run_job(
            invocation,
            given.get("summary"),
            verbose=given.get("verbose", False),
            detached=given.get("detached", False),
            emit=given.get("emit"),
        )

    return run


def _parameters(words: list[str]) -> dict[str, Any] | None:
    """`words` as `arranged` leaves them: `run OURS... -- FILE JOB'S...`."""
    end = words.index("--")
    found: dict[str, Any] = {"settings": [], "rest": words[end + 1 :]}
    ours = iter(words[1:end])
    for word in ours:
        option, equals, value = word.partition("=")
        name = PARAMETERS.get(option)
        if name is None:
            return None
        if name in _FLAGS:
            found[name] = True
            continue
        value = value if equals else next(ours, "")
        if not value or (value.startswith("-") and name != "summary") or (name in _COUNTS and not _is_count(value)):
            return None
        if name == "settings":
            found[name].append(value)
        else:
            found[name] = int(value) if name in _COUNTS else value
    return found


def _is_count(value: str) -> bool:
    return value.isascii() and value.isdigit() and int(value) > 0


def _invocation(given: dict[str, Any]) -> Invocation:
    settings = target_settings(
        given.get("jobmanager"),
        given.get("target"),
        given.get("flink_python"),
        shuts_down=given.get("shutdown_on_attached_exit", False),
    )
    settings |= recovery_settings(
        given.get("from_savepoint"),
        given.get("allow_non_restored_state", False),
        given.get("trust_pickled_state", False),
        given.get("claim_mode"),
    )
    settings |= python_settings(
        given.get("python_files"),
        given.get("python_requirements"),
        given.get("python_archives"),
        given.get("python_executable") or given.get("python_client_executable"),
        is_pyflink=given.get("is_pyflink", False),
    )
    rest = list(given["rest"])
    file = rest.pop(0) if rest else None
    config = Path(given["config"]) if "config" in given else None
    return Invocation.of(
        file,
        given.get("python"),
        rest,
        given.get("slots"),
        given.get("parallelism"),
        given["settings"],
        config,
        settings,
    )
