"""Input formats (`pyflink.common.io`)."""

from __future__ import annotations

from typing import Any

from shmflink.errors import UsageError

__all__ = ["InputFormat"]


class InputFormat:
    """PyFlink's wrapper of a Java input format: always raises an error here."""

    def __init__(self, j_input_format: Any) -> None:
        raise UsageError(
            f"{type(self).__name__}({j_input_format!r}): there is no JVM to run Java input formats; use "
            "env.from_source() with a source of shmflink.datastream.connectors"
        )
