"""Which objects are copied when they are passed on: checked by identity, because needless copies cost time."""

from __future__ import annotations

import copy
import datetime as dt
import threading
import uuid
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np
import pytest

from shmflink.common import Row, RowKind
from shmflink.core.isolation import ISOLATION, isolated


class Color(Enum):
    RED = 1


Point = namedtuple("Point", "x y")  # noqa: PYI024  of this form, as users write it


@dataclass
class Order:
    number: int
    lines: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Price:
    amount: Any


class Counted:
    """Copies itself in a way of its own."""

    def __init__(self) -> None:
        self.copies = 0

    def __deepcopy__(self, memo: Any) -> Counted:
        new = Counted()
        new.copies = self.copies + 1
        return new


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slotted) and other.value == self.value

    __hash__ = None  # type: ignore[assignment]


FIXED = [
    *(1, 2**80, 1.5, "text", b"bytes", True, None, 1j, Decimal("1.0"), dt.date(2024, 1, 1), dt.datetime(2024, 1, 1)),
    *(
        (),
        (1, "a", (2.0, None)),
        frozenset({1}),
        Color.RED,
        uuid.UUID(int=1),
        Point(1, 2),
        Price(3),
        np.int64(4),
        len,
        int,
    ),
]

CHANGEABLE = [
    *(
        [1],
        {"a": 1},
        {1},
        bytearray(b"a"),
        Row(a=1),
        ([1],),
        [[1], {"b": [2]}],
        {"a": {"b": [1]}},
        Row(1, [2], Row(x=[3])),
    ),
    *(Order(1, [2]), Price([1]), Point([1], 2), OrderedDict(a=[1]), Slotted([1]), np.array([1, 2])),
]


@pytest.mark.parametrize("value", FIXED, ids=range(len(FIXED)))
def test_what_cannot_be_changed_is_not_copied(value: Any) -> None:
    assert isolated(value) is value


@pytest.mark.parametrize("value", CHANGEABLE, ids=range(len(CHANGEABLE)))
def test_what_can_be_changed_is_copied_with_all_that_is_in_it(value: Any) -> None:
    copied = isolated(value)
    assert type(copied) is type(value)
    assert copied is not value
    assert np.array_equal(copied, value) if isinstance(value, np.ndarray) else copied == value
    assert not _common(value, copied)


def _common(first: Any, second: Any) -> list[Any]:
    """Containers that both reach, by the same path."""
    pairs = [(first, second)]
    if isinstance(first, dict):
        pairs += [(first[key], second[key]) for key in first]
    elif isinstance(first, (list, tuple, Row)):
        pairs += list(zip(first, second, strict=True))
    elif hasattr(first, "__dict__"):
        pairs += [(vars(first)[name], vars(second)[name]) for name in vars(first)]
    return [a for a, b in pairs if a is b and isolated(a) is not a]


def test_a_row_keeps_its_names_and_its_kind() -> None:
    row = Row.of_kind(RowKind.DELETE, a=1, b=[2])
    copied = isolated(row)
    copied["b"].append(3)
    copied.set_row_kind(RowKind.INSERT)
    assert row == Row.of_kind(RowKind.DELETE, a=1, b=[2])


def test_a_class_that_says_how_it_is_copied_is_asked() -> None:
    assert isolated([Counted()])[0].copies == 1


def test_what_cannot_be_copied_stays_itself() -> None:
    lock = threading.Lock()
    assert isolated(lock) is lock
    assert isolated({"lock": lock})["lock"] is lock


def test_values_that_contain_themselves_and_very_deep_ones_are_copied() -> None:
    ring: list[Any] = [1]
    ring.append(ring)
    copied = isolated(ring)
    assert copied is not ring
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    copied = isolated(deep)
    for _ in range(200):
        assert copied is not deep
        copied, deep = copied[0], deep[0]


def test_results_that_nobody_else_holds_are_not_copied() -> None:
    made: list[int] = []

    def make(value: int) -> dict[str, Any]:
        new = {"v": value, "list": [value], "order": Order(value)}
        made.append(id(new))
        return new

    results = ISOLATION.owned_results(map(make, iter([1, 2])), [1, 2])
    assert [id(result) for result in results] == made


def test_results_that_the_function_keeps_are_copied_before_its_next_call() -> None:
    kept: list[Any] = []

    def keep(value: int) -> list[Any]:
        kept.append(value)
        return kept

    assert ISOLATION.owned_results(map(keep, iter([1, 2, 3])), [1, 2, 3]) == [[1], [1, 2], [1, 2, 3]]


def test_a_part_that_the_function_keeps_makes_a_copy_of_the_whole() -> None:
    inner = [0]
    results = ISOLATION.owned_results(({"v": value, "inner": inner} for value in (1,)), [1])
    inner.append(1)
    assert results == [{"v": 1, "inner": [0]}]


def test_rows_that_are_passed_on_are_not_copied_unless_the_function_keeps_them() -> None:
    kept: list[Any] = []

    def pass_on(row: dict[str, int]) -> dict[str, int]:
        if row["v"] == 2:
            kept.append(row)
        return row

    rows = [{"v": number} for number in (1, 2)]
    before = [id(row) for row in rows]
    results = ISOLATION.owned_results(map(pass_on, iter(rows)), rows)
    assert [id(result) == known for result, known in zip(results, before, strict=True)] == [True, False]
    assert results == [{"v": 1}, {"v": 2}]


def test_items_of_a_list_are_copied_where_others_hold_them() -> None:
    shared = {"v": 1}
    items = ISOLATION.owned_items([shared, shared, {"v": 2}])
    shared["v"] = 9
    items[0]["v"] = 8
    assert items == [{"v": 8}, {"v": 1}, {"v": 2}]


def test_a_list_of_values_that_cannot_be_changed_stays_the_same_list() -> None:
    values = [1, "a", (2, None)]
    assert ISOLATION.isolated_list(values) is values
    changeable = [1, [2]]
    copied = ISOLATION.isolated_list(changeable)
    copied[1].append(3)
    assert changeable == [1, [2]]


def test_copies_are_those_of_the_copy_module() -> None:
    for value in CHANGEABLE:
        mine, theirs = isolated(value), copy.deepcopy(value)
        assert np.array_equal(mine, theirs) if isinstance(value, np.ndarray) else mine == theirs
