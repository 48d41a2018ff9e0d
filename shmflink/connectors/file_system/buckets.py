"""In which folder under the base path a record is written (PyFlink: BucketAssigner)."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from typing import Final

from shmflink.errors import ConfigurationError

__all__ = ["BucketAssigner"]


class BucketAssigner:
    """Names the bucket of what is written now. The base path is the bucket with the empty name."""

    @staticmethod
    def base_path_bucket_assigner() -> BucketAssigner:
        """Everything in the base path itself."""
        return BucketAssigner()

    @staticmethod
    def date_time_bucket_assigner(format_str: str = "yyyy-MM-dd--HH", timezone_id: str | None = None) -> BucketAssigner:
        """One folder per hour (by default) of processing time.

        `format_str` is a pattern of Java's DateTimeFormatter.

        Raises:
            ConfigurationError: a pattern letter or time zone that is not known.
        """
        return _DateTimeBuckets(format_str, timezone_id)

    def bucket_of(self, now_ms: int) -> str:
        """The path of the bucket, relative to the base path, at this processing time."""
        return ""


class _DateTimeBuckets(BucketAssigner):
    def __init__(self, pattern: str, timezone_id: str | None) -> None:
        self._strftime = _strftime_pattern(pattern)
        self._zone = None if timezone_id is None else _zone(timezone_id)
        self._last: tuple[int, str] = (-1, "")

    def bucket_of(self, now_ms: int) -> str:
        second = now_ms // 1000
        if self._last[0] != second:
            zone = self._zone
            now = dt.datetime.fromtimestamp(second, tz=dt.UTC).astimezone(zone)
            self._last = (second, now.strftime(self._strftime))
        return self._last[1]


_LETTERS: Final = {
    "yyyy": "%Y",
    "uuuu": "%Y",
    "yy": "%y",
    "MM": "%m",
    "MMM": "%b",
    "MMMM": "%B",
    "dd": "%d",
    "DDD": "%j",
    "HH": "%H",
    "hh": "%I",
    "mm": "%M",
    "ss": "%S",
    "a": "%p",
    "EEE": "%a",
    "EEEE": "%A",
}
_TOKEN: Final = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+")


def _strftime_pattern(pattern: str) -> str:
    parts = []
    position = 0
    for token in _TOKEN.finditer(pattern):
        if token.start() != position:
            break
        position = token.end()
        text = token.group()
        if text.startswith("'"):
            parts.append((token.group(1).replace("''", "'") or "'").replace("%", "%%"))
        elif text[0].isalpha():
            if text not in _LETTERS:
                raise ConfigurationError(f"bucket format {pattern!r}: `{text}` is not one of {', '.join(_LETTERS)}")
            parts.append(_LETTERS[text])
        else:
            parts.append(text.replace("%", "%%"))
    if position != len(pattern):
        raise ConfigurationError(f"bucket format {pattern!r}: a quote is not closed")
    return "".join(parts)


def _zone(timezone_id: str) -> dt.tzinfo:
    offset = re.fullmatch(r"(?:GMT|UTC|UT)?([+-])(\d{1,2})(?::?(\d\d))?", timezone_id)
    if offset is not None:
        minutes = int(offset[2]) * 60 + int(offset[3] or 0)
        return dt.timezone(dt.timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    try:
        return zoneinfo.ZoneInfo(timezone_id)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise ConfigurationError(
            f"unknown time zone `{timezone_id}`; for instance Europe/Berlin or GMT-08:00"
        ) from None
