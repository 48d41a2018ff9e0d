"""The text forms of option values: durations, sizes, booleans, lists, maps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from shmflink.errors import ConfigurationError

__all__ = [
    "format_bytes",
    "format_duration_ms",
    "format_map",
    "parse_bool",
    "parse_bytes",
    "parse_duration_ms",
    "parse_list",
    "parse_map",
]

_NUMBER_AND_UNIT: Final = re.compile(r"\s*(\d+)\s*([a-zA-Zµ]*)\s*")
_MS_PER_UNIT: Final = {
    "": 1.0,
    **dict.fromkeys(("ns", "nano", "nanos", "nanosecond", "nanoseconds"), 1e-6),
    **dict.fromkeys(("us", "µs", "micro", "micros", "microsecond", "microseconds"), 1e-3),
    **dict.fromkeys(("ms", "milli", "millis", "millisecond", "milliseconds"), 1.0),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1e3),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60e3),
    **dict.fromkeys(("h", "hour", "hours"), 3600e3),
    **dict.fromkeys(("d", "day", "days"), 86400e3),
}
_BYTES_PER_UNIT: Final = {
    **dict.fromkeys(("", "b", "bytes"), 1),
    **dict.fromkeys(("k", "kb", "kibibytes"), 2**10),
    **dict.fromkeys(("m", "mb", "mebibytes"), 2**20),
    **dict.fromkeys(("g", "gb", "gibibytes"), 2**30),
    **dict.fromkeys(("t", "tb", "tebibytes"), 2**40),
}


def parse_duration_ms(text: str) -> int:
    """Milliseconds of `10 s`, `3min`, `100` (milliseconds); otherwise ValueError.

    A duration above zero and below one millisecond counts as one millisecond.
    """
    amount, unit = _number_and_unit(text, "a duration such as '10 s', '200 ms' or '3 min'")
    if unit not in _MS_PER_UNIT:
        raise ValueError(f"unknown unit '{unit}'; use ns, us, ms, s, min, h or d")
    milliseconds = amount * _MS_PER_UNIT[unit]
    return max(1, round(milliseconds)) if amount else 0


def parse_bytes(text: str) -> int:
    """Bytes of `64mb`, `256 kb`, `1 gb`, `1024`; units are powers of 1024, as in Flink; otherwise ValueError."""
    amount, unit = _number_and_unit(text, "a size such as '64mb', '256 kb' or '1 gb'")
    if unit not in _BYTES_PER_UNIT:
        raise ValueError(f"unknown unit '{unit}'; use b, kb, mb, gb or tb")
    return amount * _BYTES_PER_UNIT[unit]


def _number_and_unit(text: str, wanted: str) -> tuple[int, str]:
    match = _NUMBER_AND_UNIT.fullmatch(text)
    if match is None:
        raise ValueError(f"expected {wanted}")
    return int(match[1]), match[2].lower()


def format_duration_ms(milliseconds: int) -> str:
    """The shortest exact text: `10 s`, `200 ms`."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size} {unit}"
    return f"{milliseconds} ms"


def format_bytes(size: int) -> str:
    """The shortest exact text: `256 kb`, `1000 bytes`."""
    for unit, factor in (("tb", 2**40), ("gb", 2**30), ("mb", 2**20), ("kb", 2**10)):
        if size and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} bytes"


def format_map(pairs: Mapping[str, str]) -> str:
    """`k1:v1,k2:v2`."""
    return ",".join(f"{key}:{item}" for key, item in pairs.items())


def parse_bool(text: str) -> bool:
    """`true` or `false` in any case; otherwise ValueError."""
    lowered = text.strip().lower()
    if lowered not in ("true", "false"):
        raise ValueError("expected true or false")
    return lowered == "true"


def parse_list(text: str) -> list[str]:
    """`a;b` as in Flink, or a JSON/YAML flow list `[a, b]`; blanks around elements are removed."""
    stripped = text.strip()
    if not stripped:
        return []
    if stripped.startswith("[") and stripped.endswith("]"):
        return [part.strip().strip("\"'") for part in stripped[1:-1].split(",") if part.strip()]
    return [part.strip() for part in stripped.split(";")]


def parse_map(text: str) -> dict[str, str]:
    """`k1:v1,k2:v2` as Flink writes maps, or a JSON object; otherwise ValueError."""
    stripped = text.strip()
    if stripped.startswith("{"):
        return {str(key): _map_value(value) for key, value in orjson.loads(stripped).items()}
    pairs = {}
    for part in filter(None, (p.strip() for p in stripped.split(","))):
        key, colon, value = part.partition(":")
        if not colon:
            raise ValueError("expected 'key1:value1,key2:value2'")
        pairs[key.strip()] = value.strip()
    return pairs


def _map_value(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list)):
        raise ConfigurationError("the values of a map must be plain values, not lists or maps")
    return orjson.dumps(value).decode()
