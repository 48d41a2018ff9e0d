"""A class equals the one that `dataclasses.dataclass` creates, whichever part is used first; until then, nothing is
compiled.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import re
import sys
import weakref
from collections.abc import Callable
from dataclasses import field
from typing import Any, ClassVar

import pytest

from shmflink.core.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Point:
    x: int
    y: int = 2
    names: list[str] = field(default_factory=list, compare=False)
    dimensions: ClassVar[int] = 2

    def doubled(self) -> Point:
        return dataclasses.replace(self, x=2 * self.x)


def definitions(make: Any) -> dict[str, type]:
    """The same classes, made by one of the two decorators."""

    @make(frozen=True, slots=True)
    class Frozen:
        """Documented."""

        a: int
        b: str = "b"
        c: list[int] = field(default_factory=list)
        d: int = field(default=4, kw_only=True)
        e: int = field(default=5, init=False)
        f: list[int] = field(default_factory=lambda: [6], init=False, repr=False, compare=False)
        shared: ClassVar[int] = 7

    @make(frozen=True, slots=True, order=True)
    class Ordered:
        a: int
        b: int = 2

    @make(slots=True)
    class Mutable:
        a: int
        b: int = 2

        def __post_init__(self) -> None:
            self.b += self.a

    @make(slots=True, eq=False)
    class Identity:
        a: int

    @make(frozen=True, slots=True, weakref_slot=True)
    class Weak:
        a: int

    @make(frozen=True, slots=True)
    class Own:
        a: int

        def __repr__(self) -> str:
            return "mine"

        def __hash__(self) -> int:
            return 3

    @make(frozen=True, slots=True)
    class Base:
        a: int

    @make(frozen=True, slots=True)
    class Derived(Base):
        b: int = 8

    @make(frozen=True, slots=True)
    class Named:
        self: int

    @make(frozen=True, slots=True, repr=False)
    class Empty:
        pass

    made = (Frozen, Ordered, Mutable, Identity, Weak, Own, Derived, Named, Empty)
    return {kind.__name__: kind for kind in made}


NAMES = tuple(definitions(dataclasses.dataclass))


def arguments(name: str) -> tuple[int, ...]:
    return () if name == "Empty" else (1,)


def outcome(act: Callable[[Any], Any], value: Any) -> Any:
    """What comes of it, in a form in which two classes of one name compare."""
    try:
        found = act(value)
    except Exception as error:
        return type(error), str(error)
    return found


FIRST_USES: dict[str, Callable[[type, tuple[int, ...]], Any]] = {
    "instance": lambda kind, given: kind(*given),
    "signature": lambda kind, _: str(inspect.signature(kind)),
    "parameters": lambda kind, _: [repr(each.default) for each in inspect.signature(kind).parameters.values()],
    "fields": lambda kind, _: [(each.name, each.type) for each in dataclasses.fields(kind)],
    "settings": lambda kind, _: repr(kind.__dataclass_params__),  # type: ignore[attr-defined]
    "match": lambda kind, _: kind.__match_args__,  # type: ignore[attr-defined]
    "slots": lambda kind, _: kind.__slots__,  # type: ignore[attr-defined]
    "doc": lambda kind, _: kind.__doc__,
    "is": lambda kind, _: dataclasses.is_dataclass(kind),
    "equal": lambda kind, given: kind(*given) == kind(*given),
    "equal to another class": lambda kind, given: kind(*given) == 1,
    "hash": lambda kind, given: len({kind(*given), kind(*given)}),
    "repr": lambda kind, given: repr(kind(*given)).rpartition(".")[2].partition(" object at")[0],
    "less": lambda kind, given: kind(*given) < kind(*given),
    "replace": lambda kind, _: dataclasses.replace(kind(1), a=9).a,
    "copy": lambda kind, given: copy.copy(kind(*given)) == kind(*given),
    "state": lambda kind, given: kind(*given).__reduce_ex__(4)[2],
    "set": lambda kind, given: setattr(kind(*given), "a", 3),
    "set unknown": lambda kind, given: setattr(kind(*given), "unknown", 3),
    "delete": lambda kind, given: delattr(kind(*given), "a"),
    "weak": lambda kind, given: weakref.ref(kind(*given))() is None,
    "named": lambda kind, _: dataclasses.asdict(kind(a=1, **({"b": 5} if "b" in kind.__match_args__ else {}))),  # type: ignore[attr-defined]
    "given twice": lambda kind, given: kind(*given, a=1),
    "unknown": lambda kind, given: kind(*given, unknown=1),
    "missing": lambda kind, _: kind(),
    "named only": lambda kind, given: kind(*given, d=7).d,
    "not given": lambda kind, given: kind(*given, e=7),
    "too many": lambda kind, given: kind(*given, *range(9)),
    "as dict": lambda kind, given: dataclasses.asdict(kind(*given)),
}


def found(use: str, name: str, make: Any, *, instances_first: int = 0) -> Any:
    kind = definitions(make)[name]
    given = arguments(name)
    for _ in range(instances_first):
        kind(*given)
    value = outcome(lambda given: FIRST_USES[use](kind, given), given)
    return type(value).__name__ if isinstance(value, kind) else value


def is_refused_oddly(outcome: Any) -> bool:
    """Python 3.11 to 3.13 confuse themselves when a name that is no field is set on a frozen class with slots."""
    return isinstance(outcome, tuple) and "super(type, obj)" in str(outcome[-1:])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("use", FIRST_USES)
def test_as_the_standard_library(name: str, use: str) -> None:
    """Each use is the first of its class; then, the first after instances that a table filled, or compiled code."""
    theirs = found(use, name, dataclasses.dataclass)
    for instances_first in (0, 1, 50):
        mine = found(use, name, dataclass, instances_first=instances_first)
        if is_refused_oddly(theirs):
            assert issubclass(mine[0], AttributeError)
        else:
            assert mine == theirs


def test_the_standard_library_makes_nothing_for_a_few_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither when the class is made, nor when it is used; a comparison is made by it."""
    made: list[str] = []
    real = dataclasses._process_class  # type: ignore[attr-defined]

    def recorded(cls: type, *options: Any) -> type:
        made.append(cls.__name__)
        done: type = real(cls, *options)
        return done

    monkeypatch.setattr(dataclasses, "_process_class", recorded)

    @dataclass(frozen=True, slots=True)
    class Below:
        a: int

    @dataclass(frozen=True, slots=True)
    class Message(Below):
        b: int = 2

    for _ in range(9):
        assert (Message(1).a, Message(1, b=3).b) == (1, 3)
    assert hash(Message(1)) == hash((1, 2))
    assert Message.__match_args__ == ("a", "b")
    assert not made
    assert Message(1) == Message(1)
    assert "Message" in made


def shared_default(make: Any) -> type:
    @make(slots=True)
    class Shared:
        a: list[int] = []  # noqa: RUF012 - that is what is refused

    return Shared


def default_first(make: Any) -> type:
    @make(slots=True)
    class Ordered:
        a: int = 1
        b: int

    return Ordered


def thawed(make: Any) -> type:
    @make(frozen=True, slots=True)
    class Frozen:
        a: int

    @make(slots=True)
    class Thawed(Frozen):
        b: int

    return Thawed


@pytest.mark.parametrize("define", [shared_default, default_first, thawed])
def test_what_is_wrong_with_the_fields_is_told_at_the_first_instance(define: Callable[[Any], type]) -> None:
    with pytest.raises((TypeError, ValueError)) as theirs:
        define(dataclasses.dataclass)
    kind = define(dataclass)
    with pytest.raises(type(theirs.value), match=re.escape(str(theirs.value))):
        kind(1, 2)


def test_a_default_below_is_the_default_of_a_field() -> None:
    class Plain:
        a = 5

    @dataclass(slots=True)
    class Field(Plain):
        a: int

    assert Field().a == 5  # type: ignore[call-arg]


def test_a_field_of_a_base_of_the_standard_library() -> None:
    @dataclasses.dataclass(frozen=True)
    class Base:
        a: int
        b: list[int] = field(default_factory=list)

    @dataclass(frozen=True, slots=True)
    class Derived(Base):
        c: int = 8

    assert Derived(1).b is not Derived(1).b
    assert (Derived(1, [2]).b, Derived(1).c, Derived(1, c=4).c) == ([2], 8, 4)


def test_pickled_under_its_own_name() -> None:
    point = Point(1, 3, ["a"])
    again = pickle.loads(pickle.dumps(point))
    assert (again, type(again), again.names) == (point, Point, ["a"])
    assert point.doubled() == Point(2, 3)
    assert sorted([Point(2), Point(1, 9)]) == [Point(1, 9), Point(2)]


@dataclasses.dataclass(frozen=True)
class Labeled(Point):
    label: str = ""


def test_a_subclass_of_the_standard_library_is_pickled_with_its_fields() -> None:
    assert pickle.loads(pickle.dumps(Labeled(1, label="here"))) == Labeled(1, label="here")


def test_patterns() -> None:
    match Point(1, 3):
        case Point(x, y):
            assert (x, y) == (1, 3)
        case _:
            pytest.fail("not matched")


def test_a_plain_subclass_has_the_methods() -> None:
    @dataclass(frozen=True, slots=True)
    class Base:
        a: int

    class Below(Base):
        def __init__(self) -> None:
            super().__init__(5)

    assert Below().a == 5
    assert Below() == Below()
    assert repr(Below()).endswith("Below(a=5)")


def test_the_setattr_of_a_class_and_of_a_subclass_sets_its_fields() -> None:
    class Doubled:
        __slots__ = ()

        def __setattr__(self, name: str, value: int) -> None:
            super().__setattr__(name, 2 * value)

    @dataclass(slots=True)
    class Below(Doubled):
        a: int

    @dataclass(slots=True)
    class Plain:
        a: int

    class Above(Plain):
        def __setattr__(self, name: str, value: int) -> None:
            super().__setattr__(name, 3 * value)

    assert [(Below(1).a, Plain(1).a, Above(1).a) for _ in range(50)] == [(2, 1, 3)] * 50


def test_annotations_that_are_no_texts_are_left_to_the_standard_library() -> None:
    kind: Any = dataclass(frozen=True, slots=True)(
        type("Evaluated", (), {"__annotations__": {"a": int}, "__module__": __name__})
    )
    assert kind(3) == kind(3)
    assert sys.modules[kind.__module__] is sys.modules[__name__]
