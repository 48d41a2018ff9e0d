"""Input formats (`pyflink.common.io`)."""

from __future__ import annotations

from typing import Any

from shmflink.errors import UsageError

__all__ = ["InputFormat"]


class InputFormat:
    """PyFlink's wrapper of an input format of Java's: always an error here."""

    def __init__(self, j_input_format: Any) -> None:
        raise UsageError(
            f"{type(self).__name__}({j_input_format!r}): there is no JVM, so Java's input formats do not exist; use "
            "env.from_source() with a source of shmflink.datastream.connectors"
        )
