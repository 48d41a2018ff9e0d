"""Patterns of Java's DateTimeFormatter, as Flink's bucket assigners accept them, and time zones."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from typing import Final

from shmflink.errors import ConfigurationError, DataFormatError

__all__ = ["TimePattern", "time_zone"]


class TimePattern:
    """Formats instants in a zone (by default the machine's). Picklable."""

    def __init__(self, pattern: str, timezone_id: str | None) -> None:
        """Raises ConfigurationError for an unknown pattern letter or time zone."""
        self._strftime, self.finest_seconds = _parsed(pattern)
        self._zone = None if timezone_id is None else time_zone(timezone_id)

    def text(self, second: int) -> str:
        """`second` is counted from 1970, UTC; DataFormatError outside of the years 1 to 9999."""
        try:
            moment = dt.datetime.fromtimestamp(second, tz=dt.UTC).astimezone(self._zone)
        except (ValueError, OverflowError):
            raise DataFormatError(
                f"a timestamp {second} seconds from 1970 is outside the years 1 to 9999 and cannot name a folder; "
                "does it have another unit?"
            ) from None
        return moment.strftime(self._strftime)


# Pattern letters to strftime's, and the shortest duration in seconds of one step.
_LETTERS: Final = {
    "yyyy": ("%Y", 86_400),
    "uuuu": ("%Y", 86_400),
    "yy": ("%y", 86_400),
    "MM": ("%m", 86_400),
    "MMM": ("%b", 86_400),
    "MMMM": ("%B", 86_400),
    "dd": ("%d", 86_400),
    "DDD": ("%j", 86_400),
    "HH": ("%H", 3_600),
    "hh": ("%I", 3_600),
    "mm": ("%M", 60),
    "ss": ("%S", 1),
    "a": ("%p", 3_600),
    "EEE": ("%a", 86_400),
    "EEEE": ("%A", 86_400),
}
_TOKEN: Final = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+")


def _parsed(pattern: str) -> tuple[str, int]:
    parts = []
    position, finest = 0, 86_400
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
            letters, seconds = _LETTERS[text]
            parts.append(letters)
            finest = min(finest, seconds)
        else:
            parts.append(text.replace("%", "%%"))
    if position != len(pattern):
        raise ConfigurationError(f"bucket format {pattern!r}: a quote is not closed")
    return "".join(parts), finest


def time_zone(timezone_id: str) -> dt.tzinfo:
    """A zone of the tz database, or an offset like `GMT-08:00`; ConfigurationError for anything else."""
    offset = re.fullmatch(r"(?:GMT|UTC|UT)?([+-])(\d{1,2})(?::?(\d\d))?", timezone_id)
    if offset is not None:
        minutes = int(offset[2]) * 60 + int(offset[3] or 0)
        return dt.timezone(dt.timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    try:
        return zoneinfo.ZoneInfo(timezone_id)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise ConfigurationError(f"unknown time zone `{timezone_id}`; for example Europe/Berlin or GMT-08:00") from None
