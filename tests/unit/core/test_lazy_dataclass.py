"""A class is what `dataclasses.dataclass` makes, whatever of it is used first; until then nothing is compiled."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
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
    "too many": lambda kind, given: kind(*given, *range(9)),
    "as dict": lambda kind, given: dataclasses.asdict(kind(*given)),
}


def found(use: str, name: str, make: Any, *, instances_first: bool = False) -> Any:
    kind = definitions(make)[name]
    given = arguments(name)
    if instances_first:
        kind(*given)
    value = outcome(lambda given: FIRST_USES[use](kind, given), given)
    return type(value).__name__ if isinstance(value, kind) else value


def is_refused_oddly(outcome: Any) -> bool:
    """Python 3.11 to 3.13 confuse themselves when a name that is no field is set on a frozen class with slots."""
    return isinstance(outcome, tuple) and "super(type, obj)" in str(outcome[-1:])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("use", FIRST_USES)
def test_as_the_standard_library(name: str, use: str) -> None:
    """Each use is the first of its class; then, the first after its `__init__`."""
    theirs = found(use, name, dataclasses.dataclass)
    for instances_first in (False, True):
        mine = found(use, name, dataclass, instances_first=instances_first)
        if is_refused_oddly(theirs):
            assert issubclass(mine[0], AttributeError)
        else:
            assert mine == theirs


def test_nothing_is_compiled_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[type] = []
    real = dataclasses._process_class  # type: ignore[attr-defined]

    def recorded(cls: type, *options: Any) -> type:
        compiled.append(cls)
        made: type = real(cls, *options)
        return made

    monkeypatch.setattr(dataclasses, "_process_class", recorded)

    @dataclass(frozen=True, slots=True)
    class Message:
        a: int

    assert not compiled
    assert Message(1).a == 1
    assert "Message" in {kind.__name__ for kind in compiled}


def test_pickled_under_its_own_name() -> None:
    point = Point(1, 3, ["a"])
    again = pickle.loads(pickle.dumps(point))
    assert (again, type(again), again.names) == (point, Point, ["a"])
    assert point.doubled() == Point(2, 3)
    assert sorted([Point(2), Point(1, 9)]) == [Point(1, 9), Point(2)]


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


def test_annotations_that_are_no_texts_are_left_to_the_standard_library() -> None:
    kind = dataclass(frozen=True, slots=True)(
        type("Evaluated", (), {"__annotations__": {"a": int}, "__module__": __name__})
    )
    assert kind(3) == kind(3)
    assert sys.modules[kind.__module__] is sys.modules[__name__]
