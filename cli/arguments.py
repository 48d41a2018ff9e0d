"""Sorts the words after `shmflink run` into our options, the job's file and the job's own arguments, and separates
optional values from the words after them. Pure.

Our options are recognized on both sides of the file; unknown ones, and everything after `--`, are the job's. An
option parser alone cannot do that: it would parse `-input` as `-i -n -p ut` and then find our `-p` in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["OPTIONS", "arranged"]

# The options of each command, and whether they take a value; None: `--json` alone or followed by a file.
_COMMON: Final[Mapping[str, bool | None]] = {
    "-py": True,
    "--python": True,
    "--slots": True,
    "-p": True,
    "--parallelism": True,
    "-D": True,
    **dict.fromkeys(("--config", "--configDir"), True),
    **dict.fromkeys(("-pyfs", "--pyFiles", "-pym", "--pyModule", "-pyreq", "--pyRequirements"), True),
    **dict.fromkeys(("-pyarch", "--pyArchives", "-pyexec", "--pyExecutable"), True),
    **dict.fromkeys(("-pyclientexec", "--pyClientExecutable"), True),
    "--pyflink": False,
    "--help": False,
}
OPTIONS: Final[Mapping[str, Mapping[str, bool | None]]] = {
    "run": {
        **_COMMON,
        "--json": None,
        "-v": False,
        "--verbose": False,
        "-s": True,
        "--fromSavepoint": True,
        "--from-savepoint": True,
        "-n": False,
        "--allowNonRestoredState": False,
        "--allow-non-restored-state": False,
        "--trust-pickled-state": False,
        "-cm": True,
        "--claimMode": True,
        "--claim-mode": True,
        "-rm": True,
        "--restoreMode": True,
        **dict.fromkeys(("-m", "--jobmanager", "-t", "--target"), True),
        **dict.fromkeys(("-d", "--detached", "-sae", "--shutdownOnAttachedExit"), False),
        "--flink-python": True,
        "--emit": True,
    },
    "info": {**_COMMON, "--json": False, "--logical": False, "--portable": False, "--emit": True},
}
# Letters that jobs are likely to use themselves: after the file they belong to the job.
_BEFORE_FILE: Final = frozenset({"-s", "-n", "-cm", "-rm", "-m", "-t", "-d", "-sae"})
_NAMES_THE_JOB: Final = frozenset({"-py", "--python", "-pym", "--pyModule"})
# Options with an optional value, of the commands for running jobs; how such an option is written without a value.
_MAY_BE_ALONE: Final[Mapping[str, frozenset[str]]] = {
    "stop": frozenset({"-p", "--savepointPath", "--savepoint"}),
    "cancel": frozenset({"-s", "--withSavepoint"}),
}
_LONG: Final = {"-p": "--savepointPath", "-s": "--withSavepoint"}


def arranged(words: Sequence[str]) -> list[str]:
    """`run OURS... FILE -- THE JOB'S...` for commands that run a job's file; unchanged words for other commands."""
    options = OPTIONS.get(words[0]) if words else None
    if options is None:
        return _with_values(words) if words and words[0] in _MAY_BE_ALONE else list(words)
    ours: list[str] = []
    files: list[str] = []
    jobs: list[str] = []
    rest = list(words[1:])
    has_file = False
    while rest:
        word = rest.pop(0)
        if word == "--":
            jobs += rest
            break
        taken = [] if has_file and word in _BEFORE_FILE else _own(word, rest, options)
        if taken:
            ours += taken
            has_file |= taken[0].partition("=")[0] in _NAMES_THE_JOB
        elif has_file:
            jobs.append(word)
        else:
            files.append(word)
            has_file = True
    return [words[0], *ours, "--", *files, *jobs]


def _own(word: str, rest: list[str], options: Mapping[str, bool | None]) -> list[str]:
    """The words of our option that begins here, with its value removed from `rest`; empty if it is not our option."""
    name, equals, value = word.partition("=")
    if name in options and equals and name.startswith("--") and options[name] is not False:
        return [f"{name}={value}"]
    if word in options:
        if options[word] is None:  # only a word that looks like a summary file is one: the next word may be the job
            has_file = bool(rest) and (rest[0] == "-" or rest[0].endswith(".json"))
            return [f"{word}={rest.pop(0) if has_file else '-'}"]
        return [word, *([rest.pop(0)] if options[word] and rest else [])]
    if word[:2] == "-D" and equals:
        return ["-D", word[2:]]
    if word[:2] == "-p" and word[2:].isdigit():
        return ["-p", word[2:]]
    return []


def _with_values(words: Sequence[str]) -> list[str]:
    """`stop JOB --savepoint` and `stop --savepoint JOB` get an empty value; `stop --savepoint DIR JOB` keeps DIR.

    The command takes one word, the job. A word after the option is its value only if another word names the job.
    """
    alone = _MAY_BE_ALONE[words[0]]
    others = [word for word in words[1:] if not word.startswith("-")]
    out: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in alone:
            has_value = bool(rest) and not rest[0].startswith("-") and len(others) > 1
            word = f"{_LONG.get(word, word)}={rest.pop(0) if has_value else ''}"
        out.append(word)
    return out
