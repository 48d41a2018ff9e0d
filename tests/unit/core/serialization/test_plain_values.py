"""Values without pickle: exact round trips; foreign bytes can cause nothing but an error."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import math
import pickle
import random
import struct
import sys
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
import pytest

from shmflink.connectors.base import Split
from shmflink.connectors.file_system.file_systems import FileInfo
from shmflink.connectors.file_system.reading.splits import FileRange, FileRanges
from shmflink.core.row import Row
from shmflink.core.serialization.codec import dumps_state, loads_state, loads_values
from shmflink.core.serialization.plain_values import PlainValueError, dumps_plain, is_plain, loads_plain
from shmflink.state.operator_state import OperatorStatePart, Redistribution

VALUES = [
    None, True, 0, -1, 2**63 - 1, -(2**63), 2**63, -(10**40), 1.5, -0.0, 1e308, "", "a\0é🦀", b"", b"\x00\xff" * 40,
    (), (1, (2, [3, {"k": (4,)}])), [], [None], {}, {1: "a", "1": "b", (1, 2): None, None: 3}, {1, 2}, frozenset({"a"}),
    dt.date(1, 1, 1), dt.time(23, 59, 59, 999_999), dt.time(1, fold=1), dt.datetime(9999, 12, 31, 23, 59, 59, 999_999),
    dt.datetime(2024, 2, 29, tzinfo=dt.UTC), dt.datetime(2024, 10, 27, 2, 30, fold=1), dt.timedelta(-1, 5, 7),
    decimal.Decimal("1.20"), decimal.Decimal("-1E+30"), uuid.UUID(int=5),
    Split("7", FileRanges((FileRange("/a", 0, 9, listed=FileInfo("/a", 9, 5, 7)),), 3), 9),
    {"s": OperatorStatePart(Redistribution.UNION, [1, (b"x", b"x")], "LONG")},
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_it_comes_back_as_it_was(value: Any) -> None:
    data = dumps_plain(value)
    assert is_plain(data)
    assert not data.startswith(b"\x80")
    back = loads_plain(memoryview(data))
    assert back == value
    assert repr(back) == repr(value), "types, too"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_floats_that_json_has_not(value: float) -> None:
    assert repr(loads_plain(dumps_plain([value]))) == repr([value])


class Text(str):
    __slots__ = ()


class Color(enum.Enum):
    RED = 1


@dataclass(frozen=True)
class Mine:
    n: int


class Pair(NamedTuple):
    a: int
    b: int


OTHERS = [Text("x"), Color.RED, Mine(1), Pair(1, 2), Row(1, 2), OrderedDict(a=1), "\ud800", object, len,
          dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1)))]  # fmt: skip


@pytest.mark.parametrize("value", OTHERS, ids=repr)
def test_what_has_no_plain_form_is_pickled(value: Any) -> None:
    with pytest.raises(PlainValueError):
        dumps_plain([value])
    data = dumps_state([value])
    assert not is_plain(data)
    assert loads_state(data) == [value]


def test_a_value_that_holds_itself_has_none() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(PlainValueError):
        dumps_plain(value)


def test_what_older_releases_pickled_is_read() -> None:
    value = [Split("7", (1, 2), 9)]
    assert loads_state(pickle.dumps(value, 5)) == value


FORMER = "shmflink.connectors.file_system.splits"


def test_what_an_older_release_named_by_a_module_that_has_moved_is_read() -> None:
    """`FileRange` was `shmflink.connectors.file_system.splits:FileRange`."""
    part = FileRange("/data/a.csv", 0, 9, 4, FileInfo("/data/a.csv", 9))
    present = FileRange.__module__
    plain = dumps_plain([part])
    assert loads_plain(renamed(plain, present, FORMER)) == [part]
    assert loads_state(renamed(pickle.dumps([part], 0), present, FORMER)) == [part]
    assert loads_values([renamed(pickle.dumps(part, 0), present, FORMER)]) == [part]


def renamed(data: bytes, present: str, former: str) -> bytes:
    """What an older release would have written: another module's name, and so another length."""
    changed = data.replace(present.encode(), former.encode())
    assert changed != data
    if not is_plain(data):
        return changed
    text_bytes = struct.unpack_from("<Q", data, 5)[0] - len(data) + len(changed)
    return changed[:5] + struct.pack("<Q", text_bytes) + changed[13:]


def made(names: list[str], tree: Any, blobs: tuple[bytes, ...] = ()) -> bytes:
    text = orjson.dumps([names, tree])
    lengths = struct.pack(f"<{len(blobs)}Q", *map(len, blobs))
    return struct.pack("<5sQI", b"shmv\x01", len(text), len(blobs)) + lengths + text + b"".join(blobs)


@pytest.mark.parametrize(
    "name",
    ["os:system", "builtins:eval", "shmflink.core.serialization.codec:pickle",
     "shmflink.core.serialization.codec:loads_value", "shmflink.nothing:X", "shmflink.__main__:x",
     "shmflink.core..codec:x", "shmflink.core.row:Row", "", "shmflink.", ":", "subprocess:Popen"],
)  # fmt: skip
def test_only_classes_that_are_registered_are_made(name: str) -> None:
    with pytest.raises(PlainValueError):
        loads_plain(made([name], {"c": [0, "touch /tmp/x"]}))
    assert "shmflink.__main__" not in sys.modules


@pytest.mark.parametrize(
    "tree",
    [{"c": [0]}, {"c": [5, 1]}, {"c": 1}, {"e": [0, 1]}, {"b": 0}, {"b": -1}, {"b": "x"}, {"x": 1}, {},
     {"l": 1, "m": 2}, {"i": "x"}, {"f": []}, {"m": [[1]]}, {"m": [[{"l": []}, 1]]}, {"set": [{"l": []}]},
     {"date": "x"}, {"time": []},
     {"datetime": ["2024-01-01", 1]}, {"decimal": "x"}, {"uuid": "x"}, {"timedelta": [10**12]},
     {"c": [0, "7", None, 3, 4]}],
)  # fmt: skip
def test_nonsense_is_an_error(tree: Any) -> None:
    with pytest.raises(PlainValueError):
        loads_plain(made(["shmflink.connectors.base:Split"], tree))


def test_damage_anywhere_is_an_error_or_another_value() -> None:
    """Never anything else."""
    rng = random.Random(7)
    whole = dumps_plain(VALUES)
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        try:
            loads_plain(bytes(data))
        except PlainValueError:
            continue


def test_fields_that_an_older_release_did_not_have_take_their_defaults() -> None:
    assert loads_plain(made(["shmflink.connectors.base:Split"], {"c": [0, "7", None]})) == Split("7", None)
