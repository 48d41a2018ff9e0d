"""What a Flink 2.3.0 answered (`flink_recorded.json`), and whether another answer has the same shape.

Shapes: `x?` is a field that may be missing, `<key: id>` stands for any keys, `string e.g. a`, `int|null e.g. 1`,
`string: A | B` for values. A field that the recording shows as null may have any value here, and the other way around
only what the recording says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

_TYPES = {
    "string": (str,),
    "int": (int,),
    "float": (float,),
    "bool": (bool,),
    "null": (type(None),),
}


@cache
def exchanges() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((Path(__file__).parent / "flink_recorded.json").read_text())
    return found


def recorded(method: str, path: str, status: int = 200, notes: str = "") -> Any:
    """The first shape of this exchange whose notes contain `notes`."""
    return next(
        one["shape"]
        for one in exchanges()
        if (one["method"], one["path"], one["status"]) == (method, path, status) and notes in one["notes"]
    )


def differences(actual: Any, shape: Any, where: str = "") -> Iterator[str]:
    """None if the answer has the shape."""
    if isinstance(shape, dict):
        yield from _of_object(actual, shape, where)
    elif isinstance(shape, list):
        if not isinstance(actual, list):
            yield f"{where}: {actual!r} is no array"
        elif shape:
            for index, one in enumerate(actual):
                yield from differences(one, shape[0], f"{where}[{index}]")
    elif shape is not None and not (isinstance(shape, str) and shape.startswith("array of")):
        yield from _of_value(actual, shape, where)


def _of_object(actual: Any, shape: dict[str, Any], where: str) -> Iterator[str]:
    if "<or null>" in shape:
        shape = {key: value for key, value in shape.items() if key != "<or null>"}
        if actual is None:
            return
    if not isinstance(actual, dict):
        yield f"{where}: {actual!r} is no object"
        return
    if "<key: id>" in shape:
        for key, value in actual.items():
            yield from differences(value, shape["<key: id>"], f"{where}.{key}")
        return
    known = {key.removesuffix("?"): value for key, value in shape.items()}
    needed = {key for key in shape if not key.endswith("?")}
    yield from (f"{where}.{key}: missing" for key in sorted(needed - actual.keys()))
    yield from (f"{where}.{key}: Flink has no such field" for key in sorted(actual.keys() - known.keys()))
    for key in sorted(actual.keys() & known.keys()):
        yield from differences(actual[key], known[key], f"{where}.{key}")


def _of_value(actual: Any, shape: str, where: str) -> Iterator[str]:
    if shape == "null":
        return
    names = shape.partition(" ")[0].rstrip(":").split("|")
    allowed = tuple(kind for name in names for kind in _TYPES[name])
    is_number = isinstance(actual, bool) is (bool in allowed)
    if not isinstance(actual, allowed) or not is_number:
        yield f"{where}: {actual!r} is not {shape!r}"
