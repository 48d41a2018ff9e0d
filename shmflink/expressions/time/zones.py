"""Translates Java's names of time zones for Arrow."""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.errors import TypeMismatchError
from shmflink.expressions.registry import Values
from shmflink.expressions.vectors import literal_value

__all__ = ["from_local", "zone_of"]

_OFFSET: Final = re.compile(r"(?:GMT|UTC|UT)?([+-])(\d{1,2})(?::?(\d{2}))?")

# The three-letter names in java.time.ZoneId.SHORT_IDS.
_SHORT_NAMES: Final = {
    "ACT": "Australia/Darwin",
    "AET": "Australia/Sydney",
    "AGT": "America/Argentina/Buenos_Aires",
    "ART": "Africa/Cairo",
    "AST": "America/Anchorage",
    "BET": "America/Sao_Paulo",
    "BST": "Asia/Dhaka",
    "CAT": "Africa/Harare",
    "CNT": "America/St_Johns",
    "CST": "America/Chicago",
    "CTT": "Asia/Shanghai",
    "EAT": "Africa/Addis_Ababa",
    "ECT": "Europe/Paris",
    "EST": "-05:00",
    "HST": "-10:00",
    "IET": "America/Indiana/Indianapolis",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "MIT": "Pacific/Apia",
    "MST": "-07:00",
    "NET": "Asia/Yerevan",
    "NST": "Pacific/Auckland",
    "PLT": "Asia/Karachi",
    "PNT": "America/Phoenix",
    "PRT": "America/Puerto_Rico",
    "PST": "America/Los_Angeles",
    "SST": "Pacific/Guadalcanal",
    "VST": "Asia/Ho_Chi_Minh",
    "Z": "UTC",
}


def zone_of(zone: Any) -> str:
    """Arrow's name of a zone: `Europe/Berlin`, `PST`, `GMT-08:00`, `+02:00`. A constant.

    Raises:
        TypeMismatchError: the zone does not exist, or `name` is not a constant.
    """
    name = literal_value(zone, "a time zone")
    if not isinstance(name, str):
        raise TypeMismatchError(f"a time zone is a string, for example 'Europe/Berlin', got {name!r}")
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        return f"{offset[1]}{int(offset[2]):02d}:{offset[3] or '00'}"
    known = _SHORT_NAMES.get(name, name)
    try:
        pc.assume_timezone(pa.array([0], pa.timestamp("s")), known)
    except pa.ArrowException:
        raise TypeMismatchError(f"there is no time zone {name!r}: use a name like 'Europe/Berlin'") from None
    return known


def from_local(local: Values, zone: str, *, is_later: bool = False) -> Values:
    """Timestamps without zone, interpreted as local time of a zone: the moments, in UTC.

    A local time that occurs twice is the earlier moment, or the later one. A skipped local time keeps the offset before
    the gap, as in Java: if clocks go from 2:00 to 3:00, 2:30 means 3:30.
    """
    which = "latest" if is_later else "earliest"
    moments = pc.assume_timezone(local, zone, ambiguous=which, nonexistent="earliest")
    utc = pc.cast(moments, pa.timestamp(local.type.unit, "UTC"))
    is_skipped = pc.not_equal(pc.local_timestamp(moments), local)
    if not pc.any(is_skipped).as_py():
        return utc
    offset = pc.subtract(pc.local_timestamp(moments), pc.local_timestamp(utc))  # the offset before the gap
    counted_on = pc.assume_timezone(pc.subtract(local, offset), "UTC")
    return pc.if_else(is_skipped, counted_on, utc)
